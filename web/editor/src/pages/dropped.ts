/** What was dropped on the page, or picked: files with their paths below the dropped folder. `.git` folders are left out. */

import type { Picked } from "../api/projects.ts";

export interface Dropped {
  /** A name for the whole: the folder's or the archive's. */
  name: string;
  files: Picked[];
}

/** Must be called in the drop event itself: the browser forgets the items afterwards. */
export async function droppedFiles(transfer: DataTransfer): Promise<Dropped> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const only = entries.length === 1 ? entries[0] : undefined;
  const files: Picked[] = [];
  if (only?.isDirectory) {
    for (const entry of await children(only as FileSystemDirectoryEntry)) await collect(entry, "", files);
  } else {
    for (const entry of entries) await collect(entry, "", files);
  }
  return { name: entries[0]?.name ?? "", files };
}

/** Of `<input type="file" webkitdirectory>`: paths begin with the picked folder's name, which is left off. */
export function pickedFolder(list: FileList): Dropped {
  const files = [...list].map((file) => ({ path: file.webkitRelativePath.replace(/^[^/]*\//, ""), file }));
  const name = list[0]?.webkitRelativePath.split("/")[0] ?? "";
  return { name, files: files.filter((each) => !inGit(each.path)) };
}

export function pickedFiles(list: FileList): Dropped {
  return { name: list[0]?.name ?? "", files: [...list].map((file) => ({ path: file.name, file })) };
}

const inGit = (path: string): boolean => path.split("/").includes(".git");

async function collect(entry: FileSystemEntry, above: string, into: Picked[]): Promise<void> {
  const path = above + entry.name;
  if (entry.name === ".git" && entry.isDirectory) return;
  if (entry.isFile) {
    into.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
    return;
  }
  for (const child of await children(entry as FileSystemDirectoryEntry)) await collect(child, `${path}/`, into);
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

/** A reader gives at most a hundred entries at a time, and an empty list at the end. */
async function children(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
