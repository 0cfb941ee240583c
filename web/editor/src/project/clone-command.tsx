/** How a project is cloned, to be copied, and what git asks for then. */

import { hrefOf } from "../navigation.ts";
import { CopyField } from "../ui/controls.tsx";
import type { Clone } from "./clone.ts";

export function CloneCommand({ clone, project }: { clone: Clone | null; project: string }) {
  if (!clone?.command) return null;
  return (
    <>
      <CopyField label="Clone command" value={clone.command} />
      {clone.served && (
        <p class="quiet">
          Any user name; the password is a token, which <a href={hrefOf({ page: "settings", project })}>the settings</a>{" "}
          make. A push is merged into the open files.
        </p>
      )}
    </>
  );
}
