import assert from "node:assert/strict";
import { test } from "node:test";
import { troubleOf } from "../src/project/trouble.ts";

test("what to do about a branch that was moved is one sentence and a command to copy", () => {
  const told = troubleOf(
    "Somebody else moved the branch main to a970f105c8; Quire had left it at 989d7458c5. Every edit is kept here. " +
      "Put it back, then commit again: git -C /data/git/notes.git branch a b && git -C /data/git/notes.git update-ref c d",
  );
  assert.equal(told.sentence, "Somebody else moved the branch main to a970f105c8; Quire had left it at 989d7458c5.");
  assert.equal(told.more, "Every edit is kept here. Put it back, then commit again:");
  assert.equal(told.command, "git -C /data/git/notes.git branch a b && git -C /data/git/notes.git update-ref c d");
});

test("a dot in a path ends no sentence", () => {
  const told = troubleOf(
    "The branch main is gone from /data/git/notes.git; Quire committed abc to it last. It is kept.",
  );
  assert.equal(told.sentence, "The branch main is gone from /data/git/notes.git; Quire committed abc to it last.");
  assert.equal(told.command, null);
});

test("a commit that failed without a reason says that nothing is lost", () => {
  for (const nothing of [null, undefined, "", " "]) {
    assert.match(troubleOf(nothing).sentence, /failed/);
    assert.match(troubleOf(nothing).more, /Nothing is lost/);
  }
});
