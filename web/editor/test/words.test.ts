import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conflict, ConflictKind } from "../src/api/types.ts";
import { canComeBack, howItEnded, pushedBy, ways, whatHappened } from "../src/conflicts/words.ts";

const side = (path: string, mode = "100644") => ({ path, sha: "0".repeat(40), mode });
const conflict = (kind: ConflictKind, more: Partial<Conflict> = {}): Conflict => ({
  id: "c",
  path: "a.md",
  kind,
  base: side("a.md"),
  ours: side("a.md"),
  theirs: side("a.md"),
  at: null,
  commit: "1a2b3c4d5e6f",
  pushed_by: { id: "git:1", name: "Bob" },
  document: "d",
  blockers: [],
  policy: "manual",
  detail: "",
  state: "open",
  taken: null,
  ended_at: null,
  ended_by: null,
  aside: null,
  restored: null,
  ...more,
});
const KINDS: ConflictKind[] = [
  "modify/modify",
  "add/add",
  "modify/delete",
  "delete/modify",
  "rename",
  "type",
  "binary",
];

test("every kind says what happened, and offers ways out that say what becomes of the files", () => {
  for (const kind of KINDS) {
    for (const blockers of [[], ["b.md", "c.md"]]) {
      const each = conflict(kind, { blockers, theirs: side("there.md") });
      assert.match(whatHappened(each), /\.$/);
      const offered = ways(each);
      assert.deepEqual(
        offered.slice(0, 2).map((way) => way.take),
        ["ours", "theirs"],
      );
      assert.equal(new Set(offered.map((way) => way.label)).size, offered.length);
    }
  }
});

test("who pushed is named, where git says it", () => {
  assert.equal(pushedBy(conflict("binary")), "what was pushed by Bob in commit 1a2b3c4d5e");
  assert.equal(pushedBy(conflict("binary", { pushed_by: null })), "what was pushed in commit 1a2b3c4d5e");
});

test("names and kinds of things are said", () => {
  const renamed = conflict("rename", { path: "alice.md", ours: side("alice.md"), theirs: side("bob.md") });
  assert.match(whatHappened(renamed), /alice\.md here, bob\.md in git/);
  const linked = conflict("type", { theirs: side("a.md", "120000") });
  assert.match(whatHappened(linked), /a file here, a symbolic link in git/);
  const taken = conflict("rename", { theirs: side("b.md"), blockers: ["b.md"] });
  assert.match(whatHappened(taken), /moved it to b\.md in git, where b\.md stands here/);
});

test("a file that was deleted since has other ways out", () => {
  const gone = conflict("modify/modify", { ours: null });
  assert.match(whatHappened(gone), /deleted since/);
  assert.deepEqual(
    ways(gone).map((way) => way.label),
    ["Leave it deleted", "Take what was pushed"],
  );
});

test("what lost can be brought back, and what stands there cannot", () => {
  assert.deepEqual(canComeBack(conflict("modify/modify")), []);
  const theirs = conflict("modify/modify", {
    state: "resolved",
    taken: "theirs",
    ended_by: { id: "c", name: "Carol" },
  });
  assert.equal(howItEnded(theirs), "Carol took theirs");
  assert.deepEqual(canComeBack(theirs), ["ours", "base"]);
  assert.deepEqual(canComeBack({ ...theirs, restored: "ours" }), ["theirs", "base"]);
  assert.deepEqual(canComeBack(conflict("modify/delete", { state: "resolved", taken: "ours", theirs: null })), [
    "base",
  ]);
  const aside = conflict("add/add", {
    state: "resolved",
    taken: "branch",
    base: null,
    aside: { branch: "quire/aside-1", url: null },
  });
  assert.deepEqual(canComeBack(aside), ["ours"]);
  assert.match(howItEnded(aside), /went to the branch quire\/aside-1/);
});
