/**
 * Finds files by a few letters of their path. PURE.
 *
 * All letters must occur in order. Letters side by side, at the start of a word and in the file's own name count more; of
 * equals the shorter path comes first.
 */

export interface Match {
  path: string;
  score: number;
  /** Which characters of the path were meant. */
  at: number[];
}

export function search(paths: Iterable<string>, query: string, most: number): Match[] {
  const wanted = query.toLowerCase().replace(/\s+/g, "");
  const found: Match[] = [];
  for (const path of paths) {
    const match = score(path, wanted);
    if (match !== null) found.push(match);
  }
  found.sort((a, b) => b.score - a.score || a.path.length - b.path.length || (a.path < b.path ? -1 : 1));
  return found.slice(0, most);
}

/** Tries the file's name alone first, because that is what people type. */
export function score(path: string, wanted: string): Match | null {
  if (wanted === "") return { path, score: 0, at: [] };
  const lower = path.toLowerCase();
  const name = path.lastIndexOf("/") + 1;
  const inName = place(path, lower, wanted, name, name);
  const anywhere = place(path, lower, wanted, 0, name);
  if (inName === null) return anywhere;
  return anywhere !== null && anywhere.score > inName.score ? anywhere : inName;
}

function place(path: string, lower: string, wanted: string, from: number, name: number): Match | null {
  const whole = lower.indexOf(wanted, from);
  const found = whole >= 0 ? Array.from(wanted, (_, index) => whole + index) : null;
  const ways = [found, walk(path, lower, wanted, from, true), walk(path, lower, wanted, from, false)];
  let best: Match | null = null;
  for (const at of ways) {
    if (at === null) continue;
    const value = rate(path, at, name);
    if (best === null || value > best.score) best = { path, score: value, at };
  }
  return best;
}

/** Takes each letter where it next occurs; with `words`, where it next begins a word, if it is not the very next. */
function walk(path: string, lower: string, wanted: string, from: number, words: boolean): number[] | null {
  const at: number[] = [];
  let next = from;
  for (const letter of wanted) {
    let index = lower.indexOf(letter, next);
    if (index < 0) return null;
    if (words && index !== next) index = wordStart(path, lower, letter, index) ?? index;
    at.push(index);
    next = index + letter.length;
  }
  return at;
}

function wordStart(path: string, lower: string, letter: string, from: number): number | null {
  for (let index = from; index >= 0; index = lower.indexOf(letter, index + 1)) {
    if (startsWord(path, index)) return index;
  }
  return null;
}

function startsWord(path: string, index: number): boolean {
  if (index === 0) return true;
  const before = path[index - 1] ?? "";
  const here = path[index] ?? "";
  return /[/._\-\s]/.test(before) || (before === before.toLowerCase() && here !== here.toLowerCase());
}

function rate(path: string, at: readonly number[], name: number): number {
  let total = 0;
  for (const [order, index] of at.entries()) {
    total += 1;
    if (index >= name) total += 2;
    if (startsWord(path, index)) total += 3;
    if (order > 0 && at[order - 1] === index - 1) total += 3;
  }
  if (endsWord(path, at.at(-1))) total += 3;
  return total - path.length / 200;
}

const endsWord = (path: string, index: number | undefined): boolean =>
  index !== undefined && /^[/._\-\s]?$/.test(path[index + 1] ?? "");
