import assert from "node:assert/strict";
import { test } from "node:test";
import { unified } from "../src/project/diff.ts";

const SIGN = { same: " ", gone: "-", new: "+", gap: "~" };
const read = (before: string, after: string): string[] =>
  unified(before, after, 1).map(
    ({ kind, text, before: a, after: b }) => `${a ?? "."},${b ?? "."} ${SIGN[kind]}${kind === "gap" ? "" : text}`,
  );

test("a difference is read as changed lines among a few equal ones, each with its numbers", () => {
  assert.deepEqual(read("a\nb\nc\nd\ne\nf\n", "a\nb\nC\nc2\nd\ne\nf\n"), [
    "1,1  a",
    "2,2  b",
    "3,. -c",
    ".,3 +C",
    ".,4 +c2",
    "4,5  d",
    ".,. ~",
  ]);
});

test("far equal lines are left out between two changes", () => {
  assert.deepEqual(read("x\n1\n2\n3\n4\ny\n", "X\n1\n2\n3\n4\nY\n"), [
    "1,. -x",
    ".,1 +X",
    "2,2  1",
    ".,. ~",
    "5,5  4",
    "6,. -y",
    ".,6 +Y",
  ]);
});

test("a new file is all new, a deleted one all gone, and equal texts have no difference", () => {
  assert.deepEqual(read("", "a\n"), [".,1 +a"]);
  assert.deepEqual(read("a\nb", ""), ["1,. -a", "2,. -b"]);
  assert.deepEqual(read("a\n", "a\n"), []);
});
