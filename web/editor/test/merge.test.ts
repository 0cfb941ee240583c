import assert from "node:assert/strict";
import { test } from "node:test";
import { type Edit, edits, merge } from "../src/live/merge.ts";

function applied(text: string, changes: readonly Edit[]): string {
  let out = text;
  for (const change of changes.toReversed()) out = out.slice(0, change.from) + change.insert + out.slice(change.to);
  return out;
}

/** A small generator with a seed, so that a failure can be repeated. */
function randomly(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const WORDS = ["one\n", "two\n", "\n", "𝒳 emoji 😀\n", "three words here\n", "}\n", "😀😁", "漢字\n"];

function someText(pick: (below: number) => number): string[] {
  return Array.from({ length: pick(14) }, () => WORDS[pick(WORDS.length)] ?? "");
}

function changed(lines: readonly string[], pick: (below: number) => number): string[] {
  const out = [...lines];
  for (let count = pick(4); count > 0; count -= 1) {
    const word = WORDS[pick(WORDS.length)] ?? "";
    out.splice(pick(out.length + 1), pick(3), ...(pick(3) === 0 ? [] : [word]));
  }
  return out;
}

test("edits lead from any text to any other", () => {
  for (let seed = 1; seed < 1500; seed += 1) {
    const pick = randomly(seed);
    const before = someText(pick);
    const after = pick(2) === 0 ? changed(before, pick) : someText(pick);
    assert.equal(applied(before.join(""), edits(before.join(""), after.join(""))), after.join(""), `seed ${seed}`);
  }
});

test("edits touch only what differs, and no half of an emoji", () => {
  assert.deepEqual(edits("a\nbcd\ne\n", "a\nbXd\ne\n"), [{ from: 3, to: 4, insert: "X" }]);
  assert.deepEqual(edits("😀", "😁"), [{ from: 0, to: 2, insert: "😁" }]);
  assert.deepEqual(edits("same\n", "same\n"), []);
});

test("changes at two places come together", () => {
  const base = "a\nb\nc\nd\ne\n";
  assert.equal(merge(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"), "A\nb\nc\nd\nE\n");
  assert.equal(merge(base, "a\nb\nc\nd\ne\nf\n", "b\nc\nd\ne\n"), "b\nc\nd\ne\nf\n");
});

test("the same change on both sides is one change", () => {
  assert.equal(merge("a\nb\nc\n", "a\nB\nc\nd\n", "a\nB\nc\n"), "a\nB\nc\nd\n");
});

test("different changes of one line are nobody's guess", () => {
  assert.equal(merge("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n"), null);
});

test("a merge with one side unchanged is the other side", () => {
  for (let seed = 1; seed < 300; seed += 1) {
    const pick = randomly(seed);
    const base = someText(pick);
    const ours = changed(base, pick).join("");
    assert.equal(merge(base.join(""), ours, base.join("")), ours);
    assert.equal(merge(base.join(""), base.join(""), ours), ours);
    assert.equal(merge(base.join(""), ours, ours), ours);
  }
});

test("a text of very many different lines does not take for ever", () => {
  const before = Array.from({ length: 20_000 }, (_, index) => `${index}\n`).join("");
  const after = Array.from({ length: 20_000 }, (_, index) => `x${index}\n`).join("");
  assert.equal(applied(before, edits(before, after)), after);
});
