/** What leads from one text to another, as lines to read. PURE. */

import { diffLines, splitLines } from "../live/merge.ts";

export interface DiffLine {
  kind: "same" | "gone" | "new" | "gap";
  text: string;
  /** Their numbers, from 1, in the one and the other text; null where the line is not in it. */
  before: number | null;
  after: number | null;
}

/** The changed lines with `context` equal ones around them; a gap says how many are left out. */
export function unified(before: string, after: string, context = 3): DiffLine[] {
  const a = splitLines(before);
  const b = splitLines(after);
  const lines: DiffLine[] = [];
  let at = 0;
  let shift = 0;
  const same = (from: number, to: number) => {
    for (let index = from; index < to; index += 1) {
      lines.push({ kind: "same", text: bare(a[index]), before: index + 1, after: index + 1 + shift });
    }
  };
  const between = (from: number, to: number, head: number, tail: number) => {
    const left = to - from - head - tail;
    if (left <= 1) {
      same(from, to);
      return;
    }
    same(from, from + head);
    lines.push({ kind: "gap", text: `${left.toLocaleString("en")} equal lines`, before: null, after: null });
    same(to - tail, to);
  };
  for (const hunk of diffLines(a, b)) {
    between(at, hunk.from, at === 0 ? 0 : context, context);
    for (let index = hunk.from; index < hunk.to; index += 1)
      lines.push({ kind: "gone", text: bare(a[index]), before: index + 1, after: null });
    for (let index = hunk.fromB; index < hunk.toB; index += 1)
      lines.push({ kind: "new", text: bare(b[index]), before: null, after: index + 1 });
    at = hunk.to;
    shift = hunk.toB - hunk.to;
  }
  if (lines.length > 0) between(at, a.length, context, 0);
  return lines;
}

const bare = (line: string | undefined): string => line?.replace(/\r?\n$/, "") ?? "";
