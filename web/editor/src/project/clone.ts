/** The command that clones a project. PURE. Undefined while nothing is known of a repository. */

import type { Status } from "../api/types.ts";

export function cloneCommand(status: Status | null): string | undefined {
  const clone = status?.remote?.clone;
  if (!clone) return undefined;
  return clone.startsWith("git ") ? clone : `git clone ${clone}`;
}
