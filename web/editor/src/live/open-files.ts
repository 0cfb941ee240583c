/**
 * The live files of this tab of the browser, by project and id. Every edit must outlive the page that it was made on: a file that
 * is let go while something of it is unsaved stays connected until it is saved, and is handed out again when it is opened again.
 */

import { effect, untracked } from "@preact/signals";
import { logins, me } from "../session.ts";
import { colourOf } from "../ui/controls.tsx";
import { LiveFile } from "./live-file.ts";

interface Entry {
  file: LiveFile;
  holders: number;
}

const entries = new Map<string, Entry>();

const keyOf = (project: string, id: string): string => `${project}/${id}`;

export function hold(project: string, id: string): LiveFile {
  const key = keyOf(project, id);
  const entry = entries.get(key) ?? { file: new LiveFile(project, id, self), holders: 0 };
  entry.holders += 1;
  entries.set(key, entry);
  return entry.file;
}

export function letGo(project: string, id: string): void {
  const key = keyOf(project, id);
  const entry = entries.get(key);
  if (entry === undefined) return;
  entry.holders -= 1;
  closeWhenSaved(entry);
}

function closeWhenSaved(entry: Entry): void {
  const stop = effect(() => {
    if (entry.holders > 0 || entry.file.unsaved.value) return;
    queueMicrotask(() => {
      stop();
      const key = [...entries].find(([, each]) => each === entry)?.[0];
      if (entry.holders > 0 || key === undefined) return;
      entries.delete(key);
      entry.file.close();
    });
  });
}

/** Somebody decided that what is unsaved in it is not wanted. */
export function abandon(project: string, id: string): void {
  const key = keyOf(project, id);
  const entry = entries.get(key);
  entries.delete(key);
  entry?.file.close();
}

export function projectRenamed(from: string, to: string): void {
  for (const [key, entry] of [...entries]) {
    if (!key.startsWith(`${from}/`)) continue;
    entry.file.projectRenamed(to);
    entries.delete(key);
    entries.set(keyOf(to, entry.file.id), entry);
    // The page under the old name lets go of keys that are no more; the one under the new name holds anew.
    entry.holders = 0;
  }
}

export function retryAll(): void {
  for (const { file } of entries.values()) file.retry();
}

function self(): { name: string; color: string } {
  const actor = me.peek()?.actor ?? { id: "", name: "Somebody" };
  return { name: actor.name, color: colourOf(actor) };
}

addEventListener("beforeunload", (event) => {
  if ([...entries.values()].some(({ file }) => file.unsaved.peek())) event.preventDefault();
});
addEventListener("online", retryAll);
effect(() => {
  if (logins.value > 1) untracked(retryAll);
});
