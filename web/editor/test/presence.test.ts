import assert from "node:assert/strict";
import { test } from "node:test";
import { LATELY_MS, peopleIn, whoIsHere } from "../src/live/presence.ts";

const state = (id: string, name: string): unknown => ({ user: { id, name, color: "#112233" } });

test("everybody in the open files is here once, with the file he is in, the shown file before others", () => {
  const shown = peopleIn(
    [
      [1, state("alice", "Alice")],
      [2, state("bob", "Bob")],
      [3, state("bob", "Bob")],
    ],
    1,
  );
  const other = peopleIn(
    [
      [4, state("bob", "Bob")],
      [5, state("carol", "Carol")],
    ],
    9,
  );
  const here = whoIsHere(
    [
      { path: "a.md", people: shown },
      { path: "b.md", people: other },
    ],
    [],
    "alice",
    0,
  );
  assert.deepEqual(
    here.map(({ name, path, live }) => [name, path, live]),
    [
      ["Bob", "a.md", true],
      ["Carol", "b.md", true],
    ],
  );
});

test("who wrote in a file that is not open is here for a while, and never oneself", () => {
  const wrote = [
    { id: "dave", name: "Dave", path: "d.md", at: 1_000 },
    { id: "alice", name: "Alice", path: "d.md", at: 1_000 },
  ];
  assert.deepEqual(
    whoIsHere([], wrote, "alice", 2_000).map(({ name, path, live }) => [name, path, live]),
    [["Dave", "d.md", false]],
  );
  assert.deepEqual(whoIsHere([], wrote, "alice", 1_001 + LATELY_MS), []);
});

test("states without a name, and what peers send that is no user, are nobody", () => {
  assert.deepEqual(
    peopleIn(
      [
        [1, {}],
        [2, { user: {} }],
      ],
      9,
    ),
    [],
  );
});
