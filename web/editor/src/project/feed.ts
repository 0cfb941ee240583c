/**
 * The events of a project as they happen. Resumes where it stopped, so that nothing is missed; the same event may come twice.
 *
 * Holds a connection only while the page is seen: browsers allow few connections to one server, and every tab would keep one.
 */

import { heardOf } from "../api/http.ts";
import { projectPath } from "../api/projects.ts";
import type { ProjectEvent } from "../api/types.ts";
import { apiUrl } from "../base.ts";

/** The names under which the server sends events; "message" is what has no name. */
const KINDS = [
  "message",
  "created",
  "changed",
  "moved",
  "deleted",
  "undeleted",
  "snapshot",
  "imported",
  "renamed",
  "discarded",
  "restored",
  "pulled",
  "pushed",
  "conflict",
  "resolved",
  "policies",
];

const HIDDEN_MS = 20_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

export class Feed {
  private readonly project: string;
  private readonly onEvent: (event: ProjectEvent) => void;
  /** Asked after a connection ended: throws what is wrong, where the feed itself cannot say it. */
  private readonly probe: () => Promise<void>;
  private after: number;
  private source: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private hiding: ReturnType<typeof setTimeout> | null = null;
  private wait = FIRST_RETRY_MS;
  private stopped = false;

  constructor(project: string, after: number, onEvent: (event: ProjectEvent) => void, probe: () => Promise<void>) {
    this.project = project;
    this.after = after;
    this.onEvent = onEvent;
    this.probe = probe;
    document.addEventListener("visibilitychange", this.seen);
    this.open();
  }

  stop(): void {
    this.stopped = true;
    document.removeEventListener("visibilitychange", this.seen);
    if (this.hiding !== null) clearTimeout(this.hiding);
    this.shut();
  }

  /** Connects anew, also where a connection seems to be there: it may be one that nothing comes through. */
  retry(): void {
    this.wait = FIRST_RETRY_MS;
    this.open();
  }

  private open(): void {
    this.shut();
    if (this.stopped || document.visibilityState === "hidden") return;
    const source = new EventSource(apiUrl(`${projectPath(this.project)}/events?after=${this.after}`));
    this.source = source;
    source.onopen = () => {
      this.wait = FIRST_RETRY_MS;
      heardOf(true);
    };
    source.onerror = () => {
      if (this.source === source) void this.lost();
    };
    for (const kind of KINDS) source.addEventListener(kind, this.heard);
  }

  private readonly heard = (message: MessageEvent<string>): void => {
    const event = JSON.parse(message.data) as ProjectEvent;
    heardOf(true);
    if (typeof event.n === "number") this.after = Math.max(this.after, event.n);
    this.onEvent(event);
  };

  private async lost(): Promise<void> {
    this.shut();
    const wait = this.wait;
    this.wait = Math.min(LAST_RETRY_MS, wait * 2);
    this.timer = setTimeout(() => this.open(), wait);
    await this.probe();
  }

  private shut(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.source?.close();
    this.source = null;
  }

  private readonly seen = (): void => {
    if (this.hiding !== null) clearTimeout(this.hiding);
    this.hiding = null;
    if (document.visibilityState === "hidden") this.hiding = setTimeout(() => this.shut(), HIDDEN_MS);
    else if (this.source === null) this.retry();
  };
}
