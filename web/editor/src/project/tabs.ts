/**
 * The open files, in the order of their tabs. A tab belongs to a document, not to a path: a rename changes its name only.
 *
 * A tab opened by a single click is a preview, in italics, until something is typed or it is clicked twice: the next
 * preview takes its place.
 */

import { type Signal, signal } from "@preact/signals";
import type { FileRow } from "../api/types.ts";
import type { Editor } from "../code/code-editor.tsx";
import { keep, kept } from "../kept.ts";
import type { LiveFile } from "../live/live-file.ts";
import { hold, letGo } from "../live/open-files.ts";

export interface Tab {
  id: string;
  /** The last that was known of the file; it may be gone from the tree by now. */
  row: Signal<FileRow>;
  preview: Signal<boolean>;
  /** Of text files, from when they are first shown. */
  live: Signal<LiveFile | null>;
  editor: Signal<Editor | null>;
  /** A line to go to when the text is there. */
  line: Signal<number | null>;
  /** The text is to have the focus as soon as it is there. */
  focus: Signal<boolean>;
  /** The tree has no such file now. */
  absent: boolean;
}

export class Tabs {
  readonly list = signal<Tab[]>([]);
  readonly active = signal<string | null>(null);
  private readonly project: string;

  constructor(project: string) {
    this.project = project;
  }

  get current(): Tab | undefined {
    return this.list.value.find((tab) => tab.id === this.active.value);
  }

  find(id: string): Tab | undefined {
    return this.list.peek().find((tab) => tab.id === id);
  }

  open(row: FileRow, options: { preview?: boolean; line?: number | null } = {}): Tab {
    const before = this.find(row.id);
    if (before) {
      if (!options.preview) before.preview.value = false;
      if (options.line) before.line.value = options.line;
      this.show(before.id);
      return before;
    }
    const tab = made(row, options.preview ?? false, options.line ?? null);
    const list = this.list.peek();
    const old = tab.preview.peek() ? list.findIndex((each) => each.preview.peek()) : -1;
    const replaced = list[old];
    if (replaced) {
      this.list.value = list.with(old, tab);
      this.release(replaced);
    } else {
      const after = list.findIndex((each) => each.id === this.active.peek());
      this.list.value = after < 0 ? [...list, tab] : list.toSpliced(after + 1, 0, tab);
    }
    this.show(tab.id);
    return tab;
  }

  show(id: string): void {
    this.active.value = id;
    const tab = this.find(id);
    if (tab && tab.live.peek() === null && tab.row.peek().kind === "text") {
      tab.live.value = hold(this.project, id);
    }
    this.remember();
  }

  close(id: string): void {
    const list = this.list.peek();
    const index = list.findIndex((tab) => tab.id === id);
    const tab = list[index];
    if (!tab) return;
    const rest = list.toSpliced(index, 1);
    this.list.value = rest;
    if (this.active.peek() === id) {
      const next = rest[Math.min(index, rest.length - 1)];
      this.active.value = null;
      if (next) this.show(next.id);
    }
    this.release(tab);
    this.remember();
  }

  /** The tab `step` places to the right, around the end. */
  step(step: number): void {
    const list = this.list.peek();
    const at = list.findIndex((tab) => tab.id === this.active.peek());
    const next = list[(at + step + list.length) % list.length];
    if (next) this.show(next.id);
  }

  /** What the tree knows now: new names, another kind. */
  follow(rowOf: (id: string) => FileRow | undefined): void {
    for (const tab of this.list.peek()) {
      const row = rowOf(tab.id);
      // A file that comes back is connected again: the server had ended its connection for good.
      if (row && tab.absent) tab.live.peek()?.retry();
      tab.absent = row === undefined;
      if (!row || row === tab.row.peek()) continue;
      const before = tab.row.peek();
      tab.row.value = row;
      if (row.path !== before.path) tab.editor.peek()?.rename(row.path);
      if (row.kind !== before.kind && this.active.peek() === tab.id) this.show(tab.id);
    }
  }

  closeAll(): void {
    for (const tab of this.list.peek()) this.release(tab);
    this.list.value = [];
  }

  /** The tabs of the last visit that still exist. */
  restore(rowOf: (id: string) => FileRow | undefined): void {
    const ids = JSON.parse(kept(`tabs.${this.project}`) ?? "[]") as unknown;
    if (!Array.isArray(ids)) return;
    const rows = ids.map((id) => rowOf(String(id))).filter((row) => row !== undefined);
    this.list.value = rows.map((row) => made(row, false, null));
  }

  private release(tab: Tab): void {
    tab.editor.peek()?.close();
    tab.editor.value = null;
    if (tab.live.peek()) letGo(this.project, tab.id);
    tab.live.value = null;
  }

  private remember(): void {
    const ids = this.list.peek().map((tab) => tab.id);
    keep(`tabs.${this.project}`, ids.length === 0 ? null : JSON.stringify(ids));
  }
}

function made(row: FileRow, preview: boolean, line: number | null): Tab {
  return {
    id: row.id,
    row: signal(row),
    preview: signal(preview),
    live: signal(null),
    editor: signal(null),
    line: signal(line),
    focus: signal(false),
    absent: false,
  };
}
