import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileRow } from "../src/api/types.ts";
import { score, search } from "../src/project/fuzzy.ts";
import { ancestors, Tree } from "../src/project/tree.ts";

let made = 0;
function file(path: string, id = `id${++made}`): FileRow {
  return {
    path,
    id,
    kind: "text",
    mode: 0o100644,
    mime: "text/plain",
    size: 1,
    sha: null,
    position: 1,
    updated_at: 0,
    updated_by: null,
  };
}

const shown = (tree: Tree, open: string[] = []): string[] =>
  tree.rows(new Set(open)).map((row) => `${" ".repeat(row.depth)}${row.name}`);

test("folders come first, and numbers in the order of their value", () => {
  const tree = new Tree(["b10.md", "b9.md", "src/x.ts", "A.md", "docs/a.md"].map((path) => file(path)));
  assert.deepEqual(shown(tree), ["docs", "src", "A.md", "b9.md", "b10.md"]);
  assert.deepEqual(shown(tree, ["docs"]), ["docs", " a.md", "src", "A.md", "b9.md", "b10.md"]);
});

test("a row with a known id and another path is a move", () => {
  const tree = new Tree([file("a/b.md", "one"), file("c.md", "two")]);
  tree.put(file("c/d.md", "one"));
  assert.equal(tree.size, 2);
  assert.equal(tree.file("a/b.md"), undefined);
  assert.equal(tree.fileById("one")?.path, "c/d.md");
  assert.deepEqual(shown(tree, ["c"]), ["c", " d.md", "c.md"]);
});

test("a folder goes with its last file, unless it was made here", () => {
  const tree = new Tree([file("a/b/c.md", "one")]);
  tree.remove("one");
  assert.deepEqual(shown(tree), []);
  tree.makeFolder("x/y");
  tree.put(file("x/y/z.md", "two"));
  tree.remove("two");
  assert.deepEqual(shown(tree, ["x"]), ["x", " y"]);
  tree.dropFolder("x");
  assert.deepEqual(shown(tree), []);
});

test("places among siblings are told for those who hear the tree", () => {
  const tree = new Tree([file("a/x.md"), file("b.md")]);
  const rows = tree.rows(new Set(["a"]));
  assert.deepEqual(
    rows.map((row) => [row.place, row.siblings]),
    [
      [1, 2],
      [1, 1],
      [2, 2],
    ],
  );
});

test("a filter shows what it finds below its folders", () => {
  const tree = new Tree(["docs/guide/intro.md", "docs/other.txt", "intro.txt"].map((path) => file(path)));
  assert.deepEqual(
    tree.matching("Intro").map((row) => row.path),
    ["docs", "docs/guide", "docs/guide/intro.md", "intro.txt"],
  );
  assert.deepEqual(tree.matching("guide intro").length, 3);
  assert.deepEqual(tree.matching("nothing"), []);
});

test("a large tree is built and cut in a moment", () => {
  const rows = Array.from({ length: 20_000 }, (_, index) => file(`dir${index % 97}/sub${index % 13}/file${index}.ts`));
  const start = performance.now();
  const tree = new Tree(rows);
  tree.rows(new Set(["dir1", "dir1/sub1"]));
  assert.ok(performance.now() - start < 500);
});

test("the folders above a path", () => {
  assert.deepEqual(ancestors("a/b/c.md"), ["a", "a/b"]);
  assert.deepEqual(ancestors("c.md"), []);
});

test("a few letters find the file that was meant", () => {
  const paths = ["docs/tutorial/intro.md", "src/introspection.ts", "README.md", "src/read/me.ts"];
  assert.equal(search(paths, "intro", 5)[0]?.path, "docs/tutorial/intro.md");
  assert.equal(search(paths, "readme", 5)[0]?.path, "README.md");
  assert.deepEqual(score("a/b.md", "bm")?.at, [2, 4]);
  assert.equal(score("abc", "cba"), null);
  assert.equal(search(paths, "", 2).length, 2);
});
