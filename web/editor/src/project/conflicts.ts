/** Which files of the open project are in conflict with what was pushed. Asked again when events say so. */

import { computed, signal } from "@preact/signals";
import { fetchConflicts } from "../api/conflicts.ts";
import { ApiError, isPassing } from "../api/http.ts";
import type { Conflict, ProjectEvent } from "../api/types.ts";

export class Conflicts {
  private readonly project: string;
  private asked = 0;
  private owed = false;

  readonly open = signal<Conflict[]>([]);
  readonly byDocument = computed(
    () => new Map(this.open.value.flatMap((each) => (each.document === null ? [] : [[each.document, each] as const]))),
  );
  /** By the name that was pushed, for what has no document of ours. */
  readonly byPath = computed(() => new Map(this.open.value.map((each) => [each.path, each])));

  constructor(project: string) {
    this.project = project;
  }

  async refresh(): Promise<void> {
    this.asked += 1;
    const number = this.asked;
    try {
      const found = await fetchConflicts(this.project);
      if (number === this.asked) this.open.value = found;
      this.owed = false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.owed = isPassing(error);
    }
  }

  heard(event: ProjectEvent): void {
    if (["conflict", "resolved", "imported"].includes(event.kind)) void this.refresh();
  }

  /** The server is there again: what failed meanwhile is asked for. */
  flush(): void {
    if (this.owed) void this.refresh();
  }
}
