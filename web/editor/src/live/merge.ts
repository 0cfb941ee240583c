/**
 * Text that was changed at two places. PURE.
 *
 * `merge` brings two changed texts together over the one that both came from, by lines; where both changed the same lines
 * differently it gives null. `edits` is what leads from one text to another in few, small steps, so that cursors stay.
 */

export interface Edit {
  /** In UTF-16 units of the text before any of the edits. */
  from: number;
  to: number;
  insert: string;
}

/** A stretch of lines that differs: [from, to) of the one text stands for [fromB, toB) of the other. */
export interface Hunk {
  from: number;
  to: number;
  fromB: number;
  toB: number;
}

/** Beyond so many differing lines the middle is taken as one hunk: still right, only coarser. */
const MOST_STEPS = 1_500;

export function merge(base: string, ours: string, theirs: string): string | null {
  if (ours === theirs || base === theirs) return ours;
  if (base === ours) return theirs;
  const lines = splitLines(base);
  const mine = splitLines(ours);
  const other = splitLines(theirs);
  const left = diffLines(lines, mine);
  const right = diffLines(lines, other);
  const out: string[] = [];
  let at = 0;
  let l = 0;
  let r = 0;
  for (;;) {
    const a = left[l];
    const b = right[r];
    if (a === undefined && b === undefined) break;
    if (a !== undefined && b !== undefined && touches(a, b)) {
      const same = sameHunk(a, b, mine, other);
      if (!same) return null;
      out.push(...lines.slice(at, a.from), ...mine.slice(a.fromB, a.toB));
      at = a.to;
      l += 1;
      r += 1;
    } else if (b === undefined || (a !== undefined && a.from < b.from)) {
      const hunk = a as Hunk;
      out.push(...lines.slice(at, hunk.from), ...mine.slice(hunk.fromB, hunk.toB));
      at = hunk.to;
      l += 1;
    } else {
      out.push(...lines.slice(at, b.from), ...other.slice(b.fromB, b.toB));
      at = b.to;
      r += 1;
    }
  }
  out.push(...lines.slice(at));
  return out.join("");
}

export function edits(before: string, after: string): Edit[] {
  const a = splitLines(before);
  const b = splitLines(after);
  const starts = offsets(a);
  const startsB = offsets(b);
  return diffLines(a, b).map((hunk) => {
    const from = starts[hunk.from] ?? before.length;
    const to = starts[hunk.to] ?? before.length;
    const insert = after.slice(startsB[hunk.fromB] ?? after.length, startsB[hunk.toB] ?? after.length);
    return trimmed(before, { from, to, insert });
  });
}

/** Takes the characters off both ends that stay as they are; never cuts a surrogate pair in two. */
function trimmed(before: string, edit: Edit): Edit {
  const old = before.slice(edit.from, edit.to);
  const most = Math.min(old.length, edit.insert.length);
  let head = 0;
  while (head < most && old[head] === edit.insert[head]) head += 1;
  if (head > 0 && isHigh(old.charCodeAt(head - 1))) head -= 1;
  let tail = 0;
  while (tail < most - head && old[old.length - 1 - tail] === edit.insert[edit.insert.length - 1 - tail]) tail += 1;
  if (tail > 0 && isLow(old.charCodeAt(old.length - tail))) tail -= 1;
  return {
    from: edit.from + head,
    to: edit.to - tail,
    insert: edit.insert.slice(head, edit.insert.length - tail),
  };
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

/** Changes of neighbouring lines count as the same place: nobody can say in which order they belong. */
const touches = (a: Hunk, b: Hunk): boolean => a.from <= b.to && b.from <= a.to;

function sameHunk(a: Hunk, b: Hunk, mine: readonly string[], other: readonly string[]): boolean {
  if (a.from !== b.from || a.to !== b.to || a.toB - a.fromB !== b.toB - b.fromB) return false;
  for (let index = 0; index < a.toB - a.fromB; index += 1) {
    if (mine[a.fromB + index] !== other[b.fromB + index]) return false;
  }
  return true;
}

export function splitLines(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

function offsets(lines: readonly string[]): number[] {
  const starts = [0];
  for (const line of lines) starts.push((starts.at(-1) ?? 0) + line.length);
  return starts;
}

/** Myers' greedy search over what is left when equal lines are taken off both ends. */
export function diffLines(a: readonly string[], b: readonly string[]): Hunk[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const from = a.slice(head, a.length - tail);
  const to = b.slice(head, b.length - tail);
  if (from.length === 0 && to.length === 0) return [];
  const whole = { from: head, to: head + from.length, fromB: head, toB: head + to.length };
  if (from.length === 0 || to.length === 0) return [whole];
  const kept = commonLines(from, to);
  if (kept === null) return [whole];
  return hunksBetween(kept, from.length, to.length).map((hunk) => ({
    from: hunk.from + head,
    to: hunk.to + head,
    fromB: hunk.fromB + head,
    toB: hunk.toB + head,
  }));
}

function hunksBetween(kept: readonly [number, number][], lengthA: number, lengthB: number): Hunk[] {
  const hunks: Hunk[] = [];
  let a = 0;
  let b = 0;
  for (const [nextA, nextB] of [...kept, [lengthA, lengthB] as const]) {
    if (nextA > a || nextB > b) hunks.push({ from: a, to: nextA, fromB: b, toB: nextB });
    a = nextA + 1;
    b = nextB + 1;
  }
  return hunks;
}

/** Pairs of equal lines in order; null when the texts differ by more than MOST_STEPS lines. */
function commonLines(a: readonly string[], b: readonly string[]): [number, number][] | null {
  const most = Math.min(a.length + b.length, MOST_STEPS);
  const reach = new Int32Array(2 * most + 2);
  const trace: Int32Array[] = [];
  for (let steps = 0; steps <= most; steps += 1) {
    trace.push(reach.slice(most - steps, most + steps + 2));
    for (let k = -steps; k <= steps; k += 2) {
      const down = k === -steps || (k !== steps && at(reach, most + k - 1) < at(reach, most + k + 1));
      let x = down ? at(reach, most + k + 1) : at(reach, most + k - 1) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      reach[most + k] = x;
      if (x >= a.length && y >= b.length) return backtrack(trace, a.length, b.length);
    }
  }
  return null;
}

function backtrack(trace: readonly Int32Array[], lengthA: number, lengthB: number): [number, number][] {
  const pairs: [number, number][] = [];
  let x = lengthA;
  let y = lengthB;
  for (let steps = trace.length - 1; steps >= 0; steps -= 1) {
    const reach = trace[steps] as Int32Array;
    const k = x - y;
    const middle = steps;
    const down = k === -steps || (k !== steps && at(reach, middle + k - 1) < at(reach, middle + k + 1));
    const before = down ? k + 1 : k - 1;
    const startX = steps === 0 ? 0 : at(reach, middle + before);
    const startY = startX - before;
    const edge = steps === 0 ? 0 : down ? startX : startX + 1;
    while (x > edge && y > edge - k) {
      x -= 1;
      y -= 1;
      pairs.push([x, y]);
    }
    if (steps === 0) break;
    x = startX;
    y = startY;
  }
  return pairs.reverse();
}

function at(values: Int32Array, index: number): number {
  return values[index] ?? 0;
}
