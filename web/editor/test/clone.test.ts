import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "../src/api/types.ts";
import { cloneOf, isLoopback } from "../src/project/clone.ts";

const status = (clone: string | null): Status =>
  ({ remote: { path: "/data/git/notes.git", clone }, head: null }) as unknown as Status;

test("a repository on the server's machine is cloned by whoever can reach it, and named to the others", () => {
  const local = status("git clone /data/git/notes.git");
  assert.deepEqual(cloneOf(local, true), {
    command: "git clone /data/git/notes.git",
    place: "/data/git/notes.git",
    served: false,
  });
  assert.deepEqual(cloneOf(local, false), { command: null, place: "/data/git/notes.git", served: false });
});

test("a repository that Quire serves is cloned from there by everybody", () => {
  const served = { ...status("git clone /data/git/notes.git"), git: "https://quire.example/git/notes.git" };
  assert.deepEqual(cloneOf(served, false), {
    command: "git clone https://quire.example/git/notes.git",
    place: null,
    served: true,
  });
});

test("a repository with an address is cloned by everybody", () => {
  const remote = status("https://example.org/git/notes.git");
  assert.equal(cloneOf(remote, false)?.command, "git clone https://example.org/git/notes.git");
  assert.equal(cloneOf(status(null), true), null);
  assert.equal(cloneOf(null, true), null);
});

test("only this machine is this machine", () => {
  for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"]) assert.ok(isLoopback(host), host);
  for (const host of ["127.0.0.1.example.org", "localhost.example.org", "10.0.0.1"]) assert.ok(!isLoopback(host), host);
});
