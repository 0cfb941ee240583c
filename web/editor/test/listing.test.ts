import assert from "node:assert/strict";
import { test } from "node:test";
import { pageOf } from "../src/api/files.ts";
import type { FileRow } from "../src/api/types.ts";

const row = { path: "a.md", id: "one" } as FileRow;

test("a list of files is read as an array whose cursor stands in a header", () => {
  const headers = new Headers({ "X-Quire-Cursor": "next" });
  assert.deepEqual(pageOf([row], headers), { files: [row], cursor: "next" });
  assert.deepEqual(pageOf([row], new Headers()), { files: [row], cursor: null });
});

test("a list of files is read as an object with its cursor too", () => {
  assert.deepEqual(pageOf({ files: [row], cursor: "next" }, new Headers()), { files: [row], cursor: "next" });
  assert.deepEqual(pageOf({ files: [row], cursor: null }, new Headers()), { files: [row], cursor: null });
});
