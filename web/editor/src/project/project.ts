/**
 * One open project: its files, tabs, commits and the feed that keeps them current, with one lifecycle (`start`, `stop`).
 */

import { effect, signal, untracked } from "@preact/signals";
import { documentAt } from "../api/files.ts";
import { ApiError, heardOf, messageOf, reachable } from "../api/http.ts";
import { fetchProject } from "../api/projects.ts";
import { type FileRow, nameOf, type ProjectEvent } from "../api/types.ts";
import { counted, timeOf } from "../format.ts";
import { projectRenamed, retryAll } from "../live/open-files.ts";
import type { Wrote } from "../live/presence.ts";
import { go, route } from "../navigation.ts";
import { logins } from "../session.ts";
import { tell, toast } from "../ui/toasts.tsx";
import { Commits } from "./commits.ts";
import { Conflicts } from "./conflicts.ts";
import { Feed } from "./feed.ts";
import { Files } from "./files.ts";
import { Tabs } from "./tabs.ts";

/** Whose push has just come in. */
function sayPulled(event: ProjectEvent): void {
  const merged = event.data?.merged;
  if (typeof merged !== "number" || merged === 0) return;
  const names = event.actors.map(nameOf).filter((name) => name !== "" && name !== "Quire");
  toast(`${names.length > 0 ? names.join(", ") : "Somebody"} pushed: ${counted(merged, "file")} changed here.`);
}

export class OpenProject {
  readonly name: string;
  readonly files: Files;
  readonly tabs: Tabs;
  readonly commits: Commits;
  readonly conflicts: Conflicts;
  /** Why the project cannot be shown. */
  readonly error = signal<ApiError | null>(null);
  readonly ready = signal(false);
  /** A path of the address at which nothing lives. */
  readonly missing = signal<string | null>(null);
  /** By actor: who wrote where last, as far as events told since the project was opened. */
  readonly wrote = signal<ReadonlyMap<string, Wrote>>(new Map());
  private feed: Feed | null = null;
  private stopped = false;
  /** Some file was on the screen: only then does closing the last one change the address. */
  private shown = false;
  private readonly stops: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
    this.files = new Files(name);
    this.tabs = new Tabs(name);
    this.conflicts = new Conflicts(name);
    this.commits = new Commits(name, (error) => {
      this.error.value = error;
    });
  }

  /** Again after an error: from the beginning, with the tabs as they are. */
  async start(): Promise<void> {
    this.error.value = null;
    this.unfollow();
    try {
      // The number first, the list second: what happens in between is in both, which does no harm.
      const project = await fetchProject(this.name);
      await this.files.load();
      if (this.stopped) return;
      this.feed = new Feed(this.name, project.events ?? 0, this.heard, () => this.probe());
    } catch (error) {
      this.error.value = error instanceof ApiError ? error : new ApiError(0, "error", messageOf(error));
      return;
    }
    if (this.tabs.list.peek().length === 0) this.tabs.restore((id) => this.files.byId(id));
    this.ready.value = true;
    this.follow();
    await Promise.all([this.commits.refresh(), this.conflicts.refresh()]);
  }

  stop(): void {
    this.stopped = true;
    this.unfollow();
    this.commits.stop();
    this.files.stop();
    this.tabs.closeAll();
  }

  /** Everything anew: the feed, the texts, the list of files and what is not committed. */
  retry(): void {
    this.feed?.retry();
    retryAll();
    this.files.refreshSoon();
    void this.commits.refresh();
    void this.conflicts.refresh();
  }

  openRow(row: FileRow, options: { preview?: boolean; line?: number | null } = {}): void {
    this.missing.value = null;
    this.tabs.open(row, options);
  }

  /** The address names a file: open it, or say that it is not there. */
  openPath(path: string, line: number | null): void {
    const row = this.files.byPath(path);
    if (row) {
      if (this.tabs.active.peek() !== row.id || line !== null) this.openRow(row, { line });
      this.files.reveal(path);
    } else if (this.files.isFolder(path)) {
      this.files.reveal(path);
      this.files.toggle(path, true);
    } else {
      void this.seek(path, line);
    }
  }

  /** Nothing lives at the path: it may be where a file was before it was renamed. */
  private async seek(path: string, line: number | null): Promise<void> {
    let id: string | null = null;
    await tell(`Could not look for ${path}`, async () => {
      id = await documentAt(this.name, path);
    });
    const at = route.peek();
    if (this.stopped || at.page !== "project" || at.path !== path) return;
    const row = id === null ? undefined : this.files.byId(id);
    if (row) {
      this.openRow(row, { line });
      this.files.reveal(row.path);
    } else {
      this.missing.value = path;
      this.tabs.active.value = null;
    }
  }

  private unfollow(): void {
    for (const stop of this.stops.splice(0)) stop();
    this.feed?.stop();
    this.feed = null;
  }

  private follow(): void {
    this.stops.push(
      effect(() => {
        this.files.version.value;
        untracked(() => this.tabs.follow((id) => this.files.byId(id)));
      }),
      effect(() => this.address()),
      effect(() => {
        if (logins.value > 1) untracked(() => this.retry());
      }),
      effect(() => {
        if (reachable.value) untracked(() => this.flush());
      }),
    );
    addEventListener("online", this.online);
    this.stops.push(() => removeEventListener("online", this.online));
  }

  private readonly online = (): void => {
    heardOf(true);
    this.retry();
  };

  /** The server was heard of again: what failed meanwhile is asked for at once. */
  private flush(): void {
    this.files.flush();
    this.commits.flush();
    this.conflicts.flush();
  }

  /** The address follows the shown tab; going to another file is a step in the browser's history, a rename is not. */
  private address(): void {
    const path = this.tabs.current?.row.value.path ?? null;
    const at = route.peek();
    if (at.page !== "project" || at.project !== this.name || (at.path === path && !at.at)) return;
    // An old version is shown, which is no tab.
    if (path === null && at.at) return;
    const left = this.shown && this.missing.peek() === null && this.tabs.list.peek().length === 0;
    this.shown ||= path !== null;
    if (path === null && !left) return;
    const renamed = at.path !== null && this.files.byPath(at.path) === undefined;
    go({ page: "project", project: this.name, path, line: null }, at.path === null || renamed ? "replace" : "push");
  }

  private readonly heard = (event: ProjectEvent): void => {
    if (event.kind === "renamed" && event.document === null) {
      this.renamed(event);
      return;
    }
    this.flush();
    this.noteWriters(event);
    this.files.heard(event);
    this.commits.refreshSoon();
    this.conflicts.heard(event);
    if (event.kind === "pulled") sayPulled(event);
    if (event.kind === "snapshot" && this.commits.snapshots.peek() !== null) void this.commits.loadSnapshots();
    const missing = this.missing.peek();
    if (missing !== null && missing === event.path) this.missing.value = null;
  };

  private noteWriters(event: ProjectEvent): void {
    const { path } = event;
    const at = timeOf(event.at);
    if (path === null || at === null || !["changed", "created"].includes(event.kind)) return;
    const wrote = new Map(this.wrote.peek());
    for (const actor of event.actors) {
      if (typeof actor !== "string") wrote.set(actor.id, { id: actor.id, name: actor.name, path, at });
    }
    this.wrote.value = wrote;
  }

  private renamed(event: ProjectEvent): void {
    const to = event.data?.to ?? event.data?.name;
    if (typeof to !== "string" || to === this.name) return;
    projectRenamed(this.name, to);
    toast(`This project is now called ${to}.`);
    const path = this.tabs.current?.row.peek().path ?? null;
    go({ page: "project", project: to, path, line: null }, "replace");
  }

  private async probe(): Promise<void> {
    try {
      await fetchProject(this.name);
      await this.commits.refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404 || error.status === 403) this.error.value = error;
    }
  }
}
