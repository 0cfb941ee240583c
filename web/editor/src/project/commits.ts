/** What of the open project is not in git yet, when it will be, and what was committed last. Asked again when events say so. */

import { computed, signal } from "@preact/signals";
import { Again } from "../again.ts";
import { commit, discardChange, fetchChanges, fetchSnapshots, fetchStatus } from "../api/commits.ts";
import { ApiError, isPassing } from "../api/http.ts";
import type { Change, Snapshot, Status } from "../api/types.ts";
import { counted } from "../format.ts";
import { tell, toast, toastError } from "../ui/toasts.tsx";
import { troubleOf } from "./trouble.ts";

/** While somebody types there is an event a second; asking as often would only be noise. */
const PACE_MS = 2_500;

export class Commits {
  private readonly project: string;
  private readonly onGone: (error: ApiError) => void;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private last = 0;
  private stopped = false;
  private readonly again = new Again(() => void this.refresh());

  readonly changes = signal<Change[]>([]);
  readonly byPath = computed(() => new Map(this.changes.value.map((change) => [change.path, change])));
  readonly status = signal<Status | null>(null);
  readonly snapshots = signal<Snapshot[] | null>(null);
  readonly busy = signal(false);
  /** Paths that the next "Commit now" leaves out. */
  readonly left = signal<ReadonlySet<string>>(new Set());
  readonly message = signal("");
  /** False once the server said that it does not give files as they were in a commit. */
  readonly comparable = signal(true);

  /** `onGone`: the project is not there any more under this name, or not for us. */
  constructor(project: string, onGone: (error: ApiError) => void) {
    this.project = project;
    this.onGone = onGone;
  }

  stop(): void {
    this.stopped = true;
    this.again.stop();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  /** At once when the last answer is old enough, otherwise when it will be. */
  refreshSoon(): void {
    if (this.timer !== null || this.stopped) return;
    const wait = Math.max(150, this.last + PACE_MS - Date.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.refresh();
    }, wait);
  }

  async refresh(): Promise<void> {
    this.last = Date.now();
    try {
      const [changes, status] = await Promise.all([fetchChanges(this.project), fetchStatus(this.project)]);
      this.changes.value = changes;
      this.status.value = status;
      this.again.worked();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404 || error.status === 403) this.onGone(error);
      // Otherwise the connection's own messages tell it.
      if (isPassing(error)) this.again.failed();
      return;
    }
    if (this.status.value && this.status.value.state !== "idle" && this.status.value.state !== "failed")
      this.refreshSoon();
  }

  /** The server is there again: what waits is asked for at once. */
  flush(): void {
    this.again.now();
  }

  async loadSnapshots(): Promise<void> {
    this.snapshots.value = await fetchSnapshots(this.project);
  }

  choose(path: string, take: boolean): void {
    const left = new Set(this.left.peek());
    if (take) left.delete(path);
    else left.add(path);
    this.left.value = left;
  }

  async commitNow(): Promise<void> {
    const changes = this.changes.peek();
    const left = this.left.peek();
    const taken = changes.filter((change) => !left.has(change.path));
    const paths = taken.length === changes.length ? null : taken.flatMap(pathsOf);
    this.busy.value = true;
    try {
      const made = await commit(this.project, this.message.peek().trim(), paths);
      this.message.value = "";
      this.left.value = new Set();
      toast(summary(made));
    } catch (error) {
      toastError(error, "Could not commit");
    } finally {
      this.busy.value = false;
    }
    await tell("The list of commits could not be read", () => Promise.all([this.refresh(), this.loadSnapshots()]));
  }

  async discard(change: Change): Promise<void> {
    if (await tell(`Could not discard ${change.path}`, () => discardChange(this.project, change.path))) {
      this.changes.value = this.changes.peek().filter((each) => each.path !== change.path);
      toast(`${change.path} is as in the last commit again.`);
    }
    await this.refresh();
  }
}

/** A renamed file is both its paths. */
function pathsOf(change: Change): string[] {
  return change.from ? [change.from, change.path] : [change.path];
}

function summary(made: Snapshot): string {
  switch (made.state) {
    case "done":
      return `Committed ${counted(made.files.length, "file")} as ${made.commit?.slice(0, 7) ?? "a snapshot"}.`;
    case "nothing":
      return "Nothing to commit: everything is in the last commit.";
    case "running":
      return "The commit is on its way; it takes longer than usual.";
    case "failed":
      return `The commit failed. ${troubleOf(made.detail).sentence}`;
  }
}
