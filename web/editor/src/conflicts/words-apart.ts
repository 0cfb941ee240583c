/** Where two texts differ, word by word, to be shown. PURE. */

import { diffLines } from "../live/merge.ts";

export interface Part {
  text: string;
  /** It is not in the other text. */
  differs: boolean;
}

/** Longer texts are told apart by lines only. */
const MOST = 20_000;

/** The lines of `text`, each in parts that are in `other` too, and parts that are not. */
export function partsOf(text: string, other: string): Part[][] {
  const words = text.length + other.length > MOST ? (each: string) => each.split(/(?<=\n)/) : wordsOf;
  const [here, there] = [words(text), words(other)];
  const differs = new Set<number>();
  for (const hunk of diffLines(there, here)) for (let at = hunk.fromB; at < hunk.toB; at += 1) differs.add(at);
  const lines: Part[][] = [];
  let line: Part[] = [];
  for (const [index, word] of here.entries()) {
    const last = line.at(-1);
    const bare = word.replace(/\r?\n$/, "");
    if (bare !== "") {
      if (last && last.differs === differs.has(index)) last.text += bare;
      else line.push({ text: bare, differs: differs.has(index) });
    }
    if (word.endsWith("\n")) {
      lines.push(line);
      line = [];
    }
  }
  if (line.length > 0) lines.push(line);
  return lines;
}

function wordsOf(text: string): string[] {
  return text.match(/\r?\n|[^\S\n]+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}
