/**
 * The files of the open project: the tree, kept current by events, and what one can do to it.
 *
 * What is done here is shown at once and taken back when the server refuses it. Every deletion can be undone.
 */

import { computed, signal } from "@preact/signals";
import { Again } from "../again.ts";
import { deleteFile, fetchRow, listFiles, moveFile, putFile, undeleteFile } from "../api/files.ts";
import { ApiError, isPassing } from "../api/http.ts";
import type { FileRow, ProjectEvent } from "../api/types.ts";
import { baseName, counted, folderOf } from "../format.ts";
import { tell, toast, toastError } from "../ui/toasts.tsx";
import { ancestors, type Row, Tree } from "./tree.ts";

/** When more files than this appear at once, the list is fetched again instead of row by row. */
const MOST_SINGLE_ROWS = 8;
const GATHER_MS = 120;

export class Files {
  private readonly project: string;
  private tree = new Tree();
  private etag: string | null = null;
  private readonly awaited = new Set<string>();
  private gathering: ReturnType<typeof setTimeout> | null = null;
  private readonly again = new Again(() => this.gather());

  /** Grows with every change of the tree; whoever reads the tree reads this first. */
  readonly version = signal(0);
  readonly loaded = signal(false);
  readonly open = signal<ReadonlySet<string>>(new Set());
  /** The path of the chosen row, a file or a folder. */
  readonly chosen = signal<string | null>(null);
  readonly filter = signal("");
  readonly rows = computed<Row[]>(() => {
    this.version.value;
    return this.filter.value.trim() === "" ? this.tree.rows(this.open.value) : this.tree.matching(this.filter.value);
  });
  readonly count = computed(() => {
    this.version.value;
    return this.tree.size;
  });

  constructor(project: string) {
    this.project = project;
  }

  stop(): void {
    this.again.stop();
    if (this.gathering !== null) clearTimeout(this.gathering);
  }

  /** The server is there again: what waits is asked for at once. */
  flush(): void {
    this.again.now();
  }

  async load(): Promise<void> {
    const listing = await listFiles(this.project, this.etag);
    this.loaded.value = true;
    if (listing === null) return;
    this.etag = listing.etag;
    this.tree = new Tree(listing.files);
    this.touched();
  }

  byPath(path: string): FileRow | undefined {
    this.version.value;
    return this.tree.file(path);
  }

  byId(id: string): FileRow | undefined {
    this.version.value;
    return this.tree.fileById(id);
  }

  isFolder(path: string): boolean {
    return this.tree.folder(path) !== undefined;
  }

  paths(): string[] {
    this.version.value;
    return Array.from(this.tree.files(), (row) => row.path);
  }

  below(path: string): FileRow[] {
    return this.tree.below(path);
  }

  /** The folder in which something new would be made: the chosen one, or the one of the chosen file. */
  here(): string {
    const chosen = this.chosen.peek();
    if (chosen === null) return "";
    return this.tree.folder(chosen) ? chosen : folderOf(chosen);
  }

  toggle(path: string, unfold?: boolean): void {
    const open = new Set(this.open.peek());
    if (unfold ?? !open.has(path)) open.add(path);
    else open.delete(path);
    this.open.value = open;
  }

  collapse(): void {
    this.open.value = new Set();
  }

  reveal(path: string): void {
    this.open.value = new Set([...this.open.peek(), ...ancestors(path)]);
    this.chosen.value = path;
  }

  /** Null when it could not be made; the reason has been shown. */
  async create(path: string): Promise<FileRow | null> {
    let row: FileRow | null = null;
    await tell(`Could not create ${path}`, async () => {
      row = await this.make(path);
    });
    return row;
  }

  /** Throws what stands in its way. */
  async make(path: string): Promise<FileRow | null> {
    this.mustBeFree(path);
    await putFile(this.project, path, "", true);
    const row = await this.fetch(path);
    if (row) this.reveal(path);
    return row;
  }

  /** Throws what stands in its way. */
  makeFolder(path: string): void {
    this.mustBeFree(path);
    this.tree.makeFolder(path);
    this.touched();
    this.reveal(path);
    this.toggle(path, true);
  }

  /** Shown at once, and taken back with a message when it cannot be. */
  async move(from: string, to: string): Promise<boolean> {
    if (from === to) return true;
    const before = this.moving(from);
    return tell(`Could not move ${from}`, async () => {
      this.mustBeFree(to);
      this.moveHere(from, to);
      if (before.length === 0) return;
      try {
        await moveFile(this.project, from, to);
      } catch (error) {
        for (const row of before) this.tree.put(row);
        this.moveOpen(to, from);
        this.touched();
        throw error;
      }
    });
  }

  /** Shown when it is done, because the name is still being typed; throws what stands in its way. */
  async rename(from: string, to: string): Promise<void> {
    this.mustBeFree(to);
    if (this.moving(from).length > 0) await moveFile(this.project, from, to);
    this.moveHere(from, to);
  }

  private moving(from: string): FileRow[] {
    const file = this.tree.file(from);
    return (file ? [file] : this.tree.below(from)).map((row) => ({ ...row }));
  }

  private moveHere(from: string, to: string): void {
    const rows = this.moving(from);
    for (const row of rows) this.tree.put({ ...row, path: to + row.path.slice(from.length) });
    this.tree.dropFolder(from);
    if (rows.length === 0 && !this.tree.has(to)) this.tree.makeFolder(to);
    this.moveOpen(from, to);
    this.touched();
  }

  private mustBeFree(path: string): void {
    if (this.tree.has(path)) throw new Error(`${path} is there already.`);
  }

  /** Deletes a file, or a folder with all below it, and offers to undo it. */
  async remove(path: string): Promise<void> {
    const file = this.tree.file(path);
    const rows = file ? [file] : this.tree.below(path);
    if (rows.length === 0) {
      this.tree.dropFolder(path);
      this.touched();
      return;
    }
    for (const row of rows) this.tree.remove(row.id);
    this.tree.dropFolder(path);
    this.touched();
    if (!(await tell(`Could not delete ${path}`, () => deleteFile(this.project, path, file === undefined)))) {
      for (const row of rows) this.tree.put(row);
      this.touched();
      return;
    }
    const what = file ? baseName(path) : `${baseName(path)} with ${counted(rows.length, "file")}`;
    toast(`Deleted ${what}.`, { label: "Undo", run: () => void this.bringBack(rows) });
  }

  async bringBack(rows: readonly FileRow[]): Promise<boolean> {
    return tell("Could not bring it back", async () => {
      for (const row of rows) {
        await undeleteFile(this.project, row.id);
        this.tree.put(row);
        this.touched();
      }
      if (rows[0]) this.reveal(rows[0].path);
    });
  }

  /** Writes files from this computer; those that stand already are asked about by `replace`. */
  async upload(
    files: readonly { path: string; file: Blob }[],
    replace: (paths: string[]) => Promise<boolean>,
  ): Promise<void> {
    const taken = files.filter(({ path }) => this.tree.file(path));
    const over = taken.length > 0 && (await replace(taken.map(({ path }) => path)));
    let done = 0;
    for (const { path, file } of files) {
      const known = this.tree.file(path) !== undefined;
      if (known && !over) continue;
      try {
        await putFile(this.project, path, file, !known);
        done += 1;
        this.awaitRow(path);
      } catch (error) {
        toastError(error, `Could not upload ${path}`);
        if (error instanceof ApiError && error.status === 0) break;
      }
    }
    if (done > 0) toast(`Uploaded ${counted(done, "file")}.`);
  }

  /** What an event says about the tree. */
  heard(event: ProjectEvent): void {
    const known = event.document === null ? undefined : this.tree.fileById(event.document);
    switch (event.kind) {
      case "deleted":
        if (known && this.tree.remove(known.id)) this.touched();
        return;
      case "moved":
        if (known && event.path) this.put({ ...known, path: event.path });
        else if (event.path) this.awaitRow(event.path);
        return;
      case "changed":
        if (known) this.put(changed(known, event));
        else if (event.path) this.awaitRow(event.path);
        return;
      case "imported":
        this.refreshSoon();
        return;
      default:
        if (event.path && event.document) this.awaitRow(event.path);
    }
  }

  refreshSoon(): void {
    for (let index = 0; index <= MOST_SINGLE_ROWS; index += 1) this.awaited.add(`\0${index}`);
    this.gather();
  }

  async fetch(path: string): Promise<FileRow | null> {
    const row = await fetchRow(this.project, path);
    if (row) this.put(row);
    return row ?? null;
  }

  private awaitRow(path: string): void {
    this.awaited.add(path);
    this.gather();
  }

  private gather(): void {
    this.gathering ??= setTimeout(() => {
      this.gathering = null;
      const paths = [...this.awaited];
      this.awaited.clear();
      void this.fetchAll(paths);
    }, GATHER_MS);
  }

  private async fetchAll(paths: readonly string[]): Promise<void> {
    try {
      if (paths.length > MOST_SINGLE_ROWS) await this.load();
      else for (const path of paths) await this.fetch(path);
      this.again.worked();
    } catch (error) {
      const told = error instanceof ApiError && error.status === 0;
      if (!told && this.again.fresh) toastError(error, "The list of files could not be brought up to date");
      if (!isPassing(error)) return;
      for (const path of paths) this.awaited.add(path);
      this.again.failed();
    }
  }

  private put(row: FileRow): void {
    const before = this.tree.fileById(row.id);
    this.tree.put(row);
    if (before && before.path !== row.path && this.chosen.peek() === before.path) this.chosen.value = row.path;
    this.touched();
  }

  /** Unfolded folders stay so where they go. */
  private moveOpen(from: string, to: string): void {
    const renamed = (path: string) =>
      path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
    this.open.value = new Set([...Array.from(this.open.peek(), renamed), ...ancestors(to)]);
    const chosen = this.chosen.peek();
    if (chosen !== null) this.chosen.value = renamed(chosen);
  }

  private touched(): void {
    this.version.value += 1;
  }
}

function changed(row: FileRow, event: ProjectEvent): FileRow {
  return {
    ...row,
    path: event.path ?? row.path,
    sha: event.sha ?? row.sha,
    position: event.position ?? row.position,
    updated_at: event.at ?? row.updated_at,
    updated_by: event.actors.at(-1) ?? row.updated_by,
  };
}
