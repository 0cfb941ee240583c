/**
 * The files of a project as a tree. PURE.
 *
 * Built once from the list, then kept current row by row: a file belongs to its id, so a row with a known id and another path
 * is a move. Folders exist while a file is below them, and those that were made here until the page is left. What is
 * shown is a flat list of rows, folders first, which the view cuts its window from.
 */

import type { FileRow } from "../api/types.ts";
import { baseName, folderOf } from "../format.ts";

export interface Folder {
  path: string;
  name: string;
  parent: Folder | null;
  folders: Map<string, Folder>;
  files: Map<string, FileRow>;
  /** Made here and perhaps empty: not taken away with its last file. */
  made: boolean;
  order: { folders: Folder[]; files: FileRow[] } | null;
}

export interface Row {
  kind: "folder" | "file";
  path: string;
  name: string;
  depth: number;
  /** Its place among its siblings, from 1, and how many they are. */
  place: number;
  siblings: number;
  open: boolean;
  file: FileRow | null;
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export class Tree {
  readonly root: Folder = folder("", "", null);
  private readonly byId = new Map<string, FileRow>();
  private readonly byPath = new Map<string, FileRow>();

  constructor(rows: Iterable<FileRow> = []) {
    for (const row of rows) this.put(row);
  }

  get size(): number {
    return this.byId.size;
  }

  file(path: string): FileRow | undefined {
    return this.byPath.get(path);
  }

  fileById(id: string): FileRow | undefined {
    return this.byId.get(id);
  }

  files(): IterableIterator<FileRow> {
    return this.byId.values();
  }

  folder(path: string): Folder | undefined {
    let at: Folder | undefined = this.root;
    if (path === "") return at;
    for (const name of path.split("/")) at = at?.folders.get(name);
    return at;
  }

  has(path: string): boolean {
    return this.byPath.has(path) || this.folder(path) !== undefined;
  }

  /** All files below a folder. */
  below(path: string): FileRow[] {
    const at = this.folder(path);
    return at === undefined ? [] : [...filesOf(at)];
  }

  put(row: FileRow): void {
    const before = this.byId.get(row.id);
    if (before !== undefined && before.path !== row.path) this.remove(row.id);
    const other = this.byPath.get(row.path);
    if (other !== undefined && other.id !== row.id) this.remove(other.id);
    this.byId.set(row.id, row);
    this.byPath.set(row.path, row);
    const home = this.makeFolders(folderOf(row.path), false);
    const name = baseName(row.path);
    if (!home.files.has(name)) home.order = null;
    home.files.set(name, row);
    if (home.order) home.order.files = home.order.files.map((each) => (each.id === row.id ? row : each));
  }

  remove(id: string): FileRow | undefined {
    const row = this.byId.get(id);
    if (row === undefined) return undefined;
    this.byId.delete(id);
    this.byPath.delete(row.path);
    const home = this.folder(folderOf(row.path));
    home?.files.delete(baseName(row.path));
    if (home) {
      home.order = null;
      prune(home);
    }
    return row;
  }

  /** A folder of this page only, until a file is in it. */
  makeFolder(path: string): void {
    this.makeFolders(path, true);
  }

  /** Takes away a folder that was made here, and what was made below it; folders with files stay. */
  dropFolder(path: string): void {
    const at = this.folder(path);
    if (at === undefined || at.parent === null) return;
    for (const child of [...at.folders.values()]) this.dropFolder(child.path);
    at.made = false;
    prune(at);
  }

  /** The rows to show, with the folders of `open` unfolded. */
  rows(open: ReadonlySet<string>): Row[] {
    const rows: Row[] = [];
    listInto(rows, this.root, 0, open);
    return rows;
  }

  /** The rows of the files whose path holds every word, below their folders. */
  matching(words: string): Row[] {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const rows: Row[] = [];
    matchInto(rows, this.root, 0, wanted);
    return rows;
  }

  private makeFolders(path: string, made: boolean): Folder {
    let at = this.root;
    if (path === "") return at;
    for (const name of path.split("/")) {
      let next = at.folders.get(name);
      if (next === undefined) {
        next = folder(at === this.root ? name : `${at.path}/${name}`, name, at);
        at.folders.set(name, next);
        at.order = null;
      }
      at = next;
    }
    at.made ||= made;
    return at;
  }
}

/** The folders above a path, outermost first. */
export function ancestors(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

function folder(path: string, name: string, parent: Folder | null): Folder {
  return { path, name, parent, folders: new Map(), files: new Map(), made: false, order: null };
}

function prune(start: Folder): void {
  let at: Folder | null = start;
  while (at?.parent && at.files.size === 0 && at.folders.size === 0 && !at.made) {
    at.parent.folders.delete(at.name);
    at.parent.order = null;
    at = at.parent;
  }
}

function ordered(at: Folder): { folders: Folder[]; files: FileRow[] } {
  at.order ??= {
    folders: [...at.folders.values()].sort((a, b) => compare(a.name, b.name)),
    files: [...at.files.entries()].sort(([a], [b]) => compare(a, b)).map(([, row]) => row),
  };
  return at.order;
}

/** As people order names; names that differ in case alone still have an order. */
function compare(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : 1);
}

function* filesOf(at: Folder): Generator<FileRow> {
  yield* at.files.values();
  for (const child of at.folders.values()) yield* filesOf(child);
}

function listInto(rows: Row[], at: Folder, depth: number, open: ReadonlySet<string>): void {
  const { folders, files } = ordered(at);
  const siblings = folders.length + files.length;
  let place = 0;
  for (const each of folders) {
    place += 1;
    const isOpen = open.has(each.path);
    rows.push({ kind: "folder", path: each.path, name: each.name, depth, place, siblings, open: isOpen, file: null });
    if (isOpen) listInto(rows, each, depth + 1, open);
  }
  for (const row of files) {
    place += 1;
    rows.push({
      kind: "file",
      path: row.path,
      name: baseName(row.path),
      depth,
      place,
      siblings,
      open: false,
      file: row,
    });
  }
}

function matchInto(rows: Row[], at: Folder, depth: number, wanted: readonly string[]): boolean {
  const { folders, files } = ordered(at);
  const own: Row[] = [];
  for (const each of folders) {
    const inside: Row[] = [];
    if (!matchInto(inside, each, depth + 1, wanted)) continue;
    own.push({
      kind: "folder",
      path: each.path,
      name: each.name,
      depth,
      place: 0,
      siblings: 0,
      open: true,
      file: null,
    });
    for (const row of inside) own.push(row);
  }
  for (const row of files) {
    const path = row.path.toLowerCase();
    if (!wanted.every((word) => path.includes(word))) continue;
    own.push({
      kind: "file",
      path: row.path,
      name: baseName(row.path),
      depth,
      place: 0,
      siblings: 0,
      open: false,
      file: row,
    });
  }
  const shown = own.filter((row) => row.depth === depth);
  for (const [index, row] of shown.entries()) Object.assign(row, { place: index + 1, siblings: shown.length });
  for (const row of own) rows.push(row);
  return own.length > 0;
}
