/** That files are in conflict with what was pushed: said where the file is shown, and once for the others of the project. */

import type { Conflict } from "../api/types.ts";
import { pushedBy } from "../conflicts/words.ts";
import { counted } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { canWrite } from "../session.ts";
import { Icon } from "../ui/icons.tsx";
import type { OpenProject } from "./project.ts";
import type { Tab } from "./tabs.ts";

export function conflictOf(project: OpenProject, id: string, path: string): Conflict | undefined {
  const { byDocument, byPath } = project.conflicts;
  return byDocument.value.get(id) ?? byPath.value.get(path);
}

/** Above the text of a file. */
export function ConflictNotice({ project, tab }: { project: OpenProject; tab: Tab }) {
  const { path } = tab.row.value;
  const conflict = conflictOf(project, tab.id, path);
  if (!conflict) return null;
  return (
    <div class="notice conflict-notice" role="status">
      <Icon name="warn" />
      <span>
        <strong>{path}</strong> is in conflict with {pushedBy(conflict)}. It stays editable, and is not committed before
        somebody has decided.
      </span>
      <span class="notice-actions">
        <a class="button primary" href={hrefOf({ page: "conflicts", project: project.name, id: conflict.id })}>
          {canWrite.value ? "Resolve" : "Look"}
        </a>
      </span>
    </div>
  );
}

const NAMED = 3;

/** Of the files that are not on the screen. */
export function ConflictBanner({ project }: { project: OpenProject }) {
  const shown = project.tabs.current;
  const here = shown && conflictOf(project, shown.id, shown.row.value.path);
  const others = project.conflicts.open.value.filter((each) => each.id !== here?.id);
  if (others.length === 0) return null;
  const names = others.slice(0, NAMED).map((each) => each.path);
  const more = others.length > NAMED ? ` and ${others.length - NAMED} more` : "";
  const [only] = others;
  return (
    <div class="banner" role="status">
      <Icon name="warn" />
      <span>
        {counted(others.length, here ? "other file" : "file")} {others.length === 1 ? "is" : "are"} in conflict with
        what was pushed: {names.join(", ")}
        {more}.
      </span>
      <a
        class="button quiet"
        href={hrefOf({ page: "conflicts", project: project.name, id: others.length === 1 && only ? only.id : null })}
      >
        {canWrite.value ? "Resolve" : "Look"}
      </a>
    </div>
  );
}
