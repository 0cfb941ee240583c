import assert from "node:assert/strict";
import { test } from "node:test";
import {
  again,
  begin,
  changesBetween,
  choose,
  chooseAll,
  type Hunk,
  hunksOf,
  type Resolution,
  spans,
  taken,
  textOf,
  typed,
  undecided,
} from "../src/conflicts/resolution.ts";

const hunk = (base: string, ours: string, theirs: string): Hunk => ({
  base,
  ours,
  theirs,
  base_line: 1,
  ours_line: 1,
  theirs_line: 1,
});

const FIRST = hunk("two\n", "alice\n", "bob\n");
const SECOND = hunk("five\n", "", "bob's five\n");
const MERGED = ["one\n", 0, "three\nfour\n", 1, "six\n"];
const started = (): Resolution => begin(MERGED, [FIRST, SECOND]);

test("what nobody has decided shows ours", () => {
  assert.equal(textOf(started()), "one\nalice\nthree\nfour\nsix\n");
  assert.equal(undecided(started()), 2);
  assert.deepEqual(spans(started()), [
    { from: 4, to: 10, line: 2 },
    { from: 21, to: 21, line: 5 },
  ]);
});

test("each hunk is decided for itself, or all alike", () => {
  const one = choose(choose(started(), 0, "both"), 1, "theirs");
  assert.equal(textOf(one), "one\nalice\nbob\nthree\nfour\nbob's five\nsix\n");
  assert.equal(undecided(one), 0);
  assert.equal(textOf(chooseAll(one, "ours")), textOf(started()));
  assert.equal(textOf(chooseAll(one, "theirs")), "one\nbob\nthree\nfour\nbob's five\nsix\n");
});

test("both sides keep a line's end between them", () => {
  assert.equal(taken(hunk("", "ours", "theirs"), "both"), "ours\ntheirs");
  assert.equal(taken(hunk("", "", "theirs"), "both"), "theirs");
});

test("what is typed in a hunk decides it by hand, and elsewhere decides nothing", () => {
  const inside = typed(started(), 9, 9, " and bob");
  assert.equal(textOf(inside), "one\nalice and bob\nthree\nfour\nsix\n");
  assert.deepEqual(
    hunksOf(inside).map((piece) => piece.choice),
    ["hand", null],
  );
  const outside = typed(started(), 0, 3, "1");
  assert.equal(textOf(outside), "1\nalice\nthree\nfour\nsix\n");
  assert.equal(undecided(outside), 2);
  const empty = typed(started(), 21, 21, "five!\n");
  assert.equal(textOf(empty), "one\nalice\nthree\nfour\nfive!\nsix\n");
  assert.equal(hunksOf(empty)[1]?.choice, "hand");
});

test("typing over several pieces leaves each of them what is left of it", () => {
  const across = typed(started(), 2, 12, "X");
  assert.equal(textOf(across), "onXree\nfour\nsix\n");
  assert.equal(hunksOf(across)[0]?.text, "");
  assert.equal(hunksOf(across)[0]?.choice, "hand");
  assert.equal(textOf(typed(started(), 0, 25, "")), "");
});

test("any typing leads to the text that typing leads to", () => {
  let state = 7;
  const pick = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 300; round += 1) {
    let resolution = chooseAll(started(), (["ours", "theirs", "both"] as const)[pick(3)] ?? "ours");
    for (let times = 0; times < 5; times += 1) {
      const text = textOf(resolution);
      const from = pick(text.length + 1);
      const to = from + pick(text.length - from + 1);
      const insert = ["", "x", "\n", "two\nlines"][pick(4)] ?? "";
      resolution = typed(resolution, from, to, insert);
      assert.equal(textOf(resolution), text.slice(0, from) + insert + text.slice(to));
    }
  }
});

test("what leads from one to another is what differs, piece by piece", () => {
  const applied = (text: string, changes: ReturnType<typeof changesBetween>) =>
    changes.toReversed().reduce((all, each) => all.slice(0, each.from) + each.insert + all.slice(each.to), text);
  const one = choose(started(), 0, "theirs");
  assert.deepEqual(changesBetween(started(), one), [{ from: 4, to: 10, insert: "bob\n" }]);
  const far = typed(chooseAll(started(), "both"), 0, 3, "1");
  const other = begin(["one\nbob\nthree\n"], []);
  for (const [from, to] of [
    [started(), far],
    [far, one],
    [one, other],
    [other, far],
  ] as const)
    assert.equal(applied(textOf(from), changesBetween(from, to)), textOf(to));
});

test("when ours changes elsewhere, decisions and what was typed stay", () => {
  const beginning = started();
  const decided = typed(choose(beginning, 0, "theirs"), 0, 3, "ONE");
  assert.equal(textOf(decided), "ONE\nbob\nthree\nfour\nsix\n");
  const newer = again(decided, beginning, ["one\n", 0, "three\nfour, later\n", 1, "six\n"], [FIRST, SECOND]);
  assert.ok(newer);
  assert.equal(textOf(newer.resolution), "ONE\nbob\nthree\nfour, later\nsix\n");
  assert.deepEqual(newer.reset, []);
  assert.deepEqual(
    hunksOf(newer.resolution).map((piece) => piece.choice),
    ["theirs", null],
  );
});

test("a hunk in which ours changed has to be decided again", () => {
  const beginning = started();
  const decided = choose(choose(beginning, 0, "ours"), 1, "theirs");
  const changed = hunk("two\n", "alice, and carol\n", "bob\n");
  const newer = again(decided, beginning, MERGED, [changed, SECOND]);
  assert.ok(newer);
  assert.deepEqual(newer.reset, [0]);
  assert.equal(textOf(newer.resolution), "one\nalice, and carol\nthree\nfour\nbob's five\nsix\n");
  assert.deepEqual(
    hunksOf(newer.resolution).map((piece) => piece.choice),
    [null, "theirs"],
  );
});

test("a hunk that is over is clean, and what was decided about the others stays", () => {
  const beginning = started();
  const decided = choose(beginning, 1, "theirs");
  const newer = again(decided, beginning, ["one\nbob\nthree\nfour\n", 0, "six\n"], [SECOND]);
  assert.ok(newer);
  assert.equal(textOf(newer.resolution), "one\nbob\nthree\nfour\nbob's five\nsix\n");
  assert.deepEqual(newer.reset, []);
});

test("where what was typed outside of hunks overlaps with what is new, it says so", () => {
  const beginning = started();
  const decided = typed(beginning, 0, 3, "ONE");
  assert.equal(again(decided, beginning, ["1\n", 0, "three\nfour\n", 1, "six\n"], [FIRST, SECOND]), null);
});
