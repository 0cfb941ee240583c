/**
 * The text that a conflict is to end with, while somebody makes it. PURE.
 *
 * It is a row of pieces: what is clean, and hunks, each with what stands there now. A hunk that nobody has decided shows ours. What is
 * typed belongs to the piece it is typed in, and a hunk that is typed in is decided by hand. When ours changes meanwhile, `again` brings
 * the newer pieces under what was decided and typed; nothing of either is lost, or it says that it cannot.
 */

import { type Edit, edits, merge } from "../live/merge.ts";

export interface Hunk {
  base: string;
  ours: string;
  theirs: string;
  base_line: number;
  ours_line: number;
  theirs_line: number;
}

export type Side = "ours" | "theirs" | "both";
export type Choice = Side | "hand";

export interface Piece {
  text: string;
  /** Null: it is clean. */
  hunk: Hunk | null;
  /** Null: nobody has decided it. */
  choice: Choice | null;
}

export type Resolution = readonly Piece[];

/** Where a hunk stands in the text, and the line it begins in, from 1. */
export interface Span {
  from: number;
  to: number;
  line: number;
}

export function begin(merged: readonly (string | number)[], hunks: readonly Hunk[]): Resolution {
  return merged.map((part) => {
    const hunk = typeof part === "number" ? hunks[part] : undefined;
    return hunk ? { text: hunk.ours, hunk, choice: null } : { text: String(part), hunk: null, choice: null };
  });
}

export function textOf(resolution: Resolution): string {
  return resolution.map((piece) => piece.text).join("");
}

/** The text of a hunk with one side taken; `both`: ours first, as the server does it. */
export function taken(hunk: Hunk, side: Side): string {
  if (side !== "both") return hunk[side];
  const ended = hunk.ours === "" || hunk.ours.endsWith("\n");
  return hunk.ours + (ended ? "" : "\n") + hunk.theirs;
}

export function choose(resolution: Resolution, number: number, side: Side): Resolution {
  return withHunk(resolution, number, (hunk) => ({ text: taken(hunk, side), hunk, choice: side }));
}

export function chooseAll(resolution: Resolution, side: Side): Resolution {
  return resolution.map((piece) =>
    piece.hunk ? { text: taken(piece.hunk, side), hunk: piece.hunk, choice: side } : piece,
  );
}

export function hunksOf(resolution: Resolution): readonly (Piece & { hunk: Hunk })[] {
  return resolution.filter((piece): piece is Piece & { hunk: Hunk } => piece.hunk !== null);
}

export function undecided(resolution: Resolution): number {
  return hunksOf(resolution).filter((piece) => piece.choice === null).length;
}

export function spans(resolution: Resolution): readonly Span[] {
  const found: Span[] = [];
  let at = 0;
  let line = 1;
  for (const piece of resolution) {
    if (piece.hunk) found.push({ from: at, to: at + piece.text.length, line });
    at += piece.text.length;
    line += newlines(piece);
  }
  return found;
}

/** What leads from the text of one to that of the other: piece by piece where their pieces are the same ones. */
export function changesBetween(before: Resolution, after: Resolution): readonly Edit[] {
  if (before.length !== after.length) return edits(textOf(before), textOf(after));
  const found: Edit[] = [];
  let at = 0;
  for (const [index, piece] of before.entries()) {
    const next = after[index];
    if (next && next !== piece && next.text !== piece.text) {
      if (next.hunk === null || piece.hunk === null) return edits(textOf(before), textOf(after));
      found.push({ from: at, to: at + piece.text.length, insert: next.text });
    }
    at += piece.text.length;
  }
  return found;
}

/** Somebody typed: [from, to) of the text gave way to `insert`. */
export function typed(resolution: Resolution, from: number, to: number, insert: string): Resolution {
  const host = pieceAt(resolution, from);
  let at = 0;
  return resolution.map((piece, index) => {
    const start = at;
    const end = at + piece.text.length;
    at = end;
    const cutFrom = Math.min(Math.max(from, start), end) - start;
    const cutTo = Math.min(Math.max(to, start), end) - start;
    if (cutFrom === cutTo && index !== host) return piece;
    const text = piece.text.slice(0, cutFrom) + (index === host ? insert : "") + piece.text.slice(cutTo);
    return { ...piece, text, choice: piece.hunk ? "hand" : null };
  });
}

/** The piece that holds this place; a hunk where nothing stands, if one is there. */
function pieceAt(resolution: Resolution, place: number): number {
  let at = 0;
  let found = -1;
  for (const [index, piece] of resolution.entries()) {
    const end = at + piece.text.length;
    if (piece.hunk && at === end && at === place) return index;
    if (found < 0 && place >= at && (place < end || index === resolution.length - 1)) found = index;
    at = end;
  }
  return found;
}

export interface Again {
  resolution: Resolution;
  /** Numbers of hunks that had been decided, and are different ones now. */
  reset: readonly number[];
}

/**
 * `before` on newer pieces. Hunks that are as they were keep what was decided. Null: what was typed outside of the hunks and what is new
 * there overlap.
 */
export function again(
  before: Resolution,
  beginning: Resolution,
  merged: readonly (string | number)[],
  hunks: readonly Hunk[],
): Again | null {
  const known = [...hunksOf(before)];
  let next: Resolution = begin(merged, hunks).map((piece) => {
    const index = piece.hunk === null ? -1 : known.findIndex((old) => piece.hunk && sameHunk(old.hunk, piece.hunk));
    const [old] = index < 0 ? [] : known.splice(index, 1);
    return old ? { ...piece, text: old.text, choice: old.choice } : piece;
  });
  const lost = known.filter((piece) => piece.choice !== null).length;
  const untouched = textOf(onBeginning(before, beginning));
  const now = textOf(before);
  if (untouched !== now) {
    const together = merge(untouched, now, textOf(next));
    if (together === null) return null;
    for (const edit of edits(textOf(next), together).toReversed()) {
      const kept = hunksOf(next).map((piece) => piece.choice);
      next = withChoices(typed(next, edit.from, edit.to, edit.insert), kept);
    }
  }
  const fresh = hunksOf(next)
    .map((piece, number) =>
      piece.choice === null && !hunksOf(before).some((old) => sameHunk(old.hunk, piece.hunk)) ? number : -1,
    )
    .filter((number) => number >= 0);
  return { resolution: next, reset: lost > 0 ? fresh : [] };
}

/** What was decided, with the clean pieces as they came. */
function onBeginning(resolution: Resolution, beginning: Resolution): Resolution {
  return resolution.map((piece, index) => (piece.hunk ? piece : { ...piece, text: beginning[index]?.text ?? "" }));
}

function withChoices(resolution: Resolution, choices: readonly (Choice | null)[]): Resolution {
  let number = 0;
  return resolution.map((piece) => {
    if (piece.hunk === null) return piece;
    const choice = choices[number] ?? null;
    number += 1;
    return { ...piece, choice };
  });
}

function withHunk(resolution: Resolution, number: number, change: (hunk: Hunk) => Piece): Resolution {
  let count = -1;
  return resolution.map((piece) => {
    if (piece.hunk === null) return piece;
    count += 1;
    return count === number ? change(piece.hunk) : piece;
  });
}

function sameHunk(one: Hunk, other: Hunk): boolean {
  return one.base === other.base && one.ours === other.ours && one.theirs === other.theirs;
}

const counted = new WeakMap<Piece, number>();

/** Most pieces stay what they are while somebody types. */
function newlines(piece: Piece): number {
  const known = counted.get(piece);
  if (known !== undefined) return known;
  const { text } = piece;
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  counted.set(piece, count);
  return count;
}
