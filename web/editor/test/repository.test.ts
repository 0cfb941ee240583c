import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectedRemote, Remote, RemotePreview, Snapshot, Status } from "../src/api/types.ts";
import {
  budgetLeft,
  choices,
  howItStands,
  lastCommit,
  lists,
  looking,
  nextCommit,
  patternsOf,
  repositoryOf,
  throughWhat,
  whatCame,
  whatGitHubSaid,
  whatHappens,
  whereIs,
  whichPart,
} from "../src/repository/words.ts";

const NOW = Date.parse("2026-01-02T03:00:00Z");
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

const remote = (more: Partial<Remote> = {}): Remote => ({
  kind: "github",
  repository: "alice/notes",
  branch: "main",
  folder: "",
  patterns: [],
  pull_request: false,
  local: false,
  clone: "git clone https://github.com/alice/notes.git",
  credential: "token",
  installation: null,
  connected_at: null,
  connected_by: null,
  ...more,
});

const status = (more: Partial<Status> = {}): Status => ({
  remote: null,
  head: "1a2b3c4d5e6f7890",
  uncommitted: 0,
  conflicts: 0,
  state: "idle",
  detail: "",
  next_commit_at: null,
  ...more,
});

const preview = (more: Partial<RemotePreview> = {}): RemotePreview => ({
  new_here: [],
  new_there: [],
  equal: [],
  different: [],
  choice: false,
  outside: [],
  uncommitted: 0,
  repository: "alice/notes",
  branch: "main",
  head: null,
  new_branch: false,
  ...more,
});

test("a repository on GitHub is led to, one on a disk is named, the own one is called so", () => {
  assert.deepEqual(whereIs(remote()), { text: "alice/notes", link: "https://github.com/alice/notes" });
  const disk = remote({ kind: "git", repository: "/srv/notes.git", clone: "git clone /srv/notes.git" });
  assert.deepEqual(whereIs(disk), { text: "/srv/notes.git", link: null });
  assert.match(whereIs(remote({ kind: "git", local: true })).text, /own repository/);
});

test("every credential and every part has words", () => {
  assert.equal(throughWhat(remote({ credential: "app" })), "through the GitHub App");
  assert.equal(throughWhat(remote({ credential: "server" })), "with the server's token");
  assert.equal(throughWhat(remote({ credential: null })), "");
  assert.equal(whichPart(remote()), "everything");
  assert.equal(whichPart(remote({ folder: "docs" })), "the folder docs");
  assert.equal(
    whichPart(remote({ folder: "docs", patterns: ["*.md", "!x.md"] })),
    "the folder docs, there files like *.md, !x.md",
  );
});

test("every state is said, good or bad", () => {
  const states: Status["state"][] = ["idle", "running", "pulling", "committing", "failed", "conflicts"];
  for (const state of states) assert.notEqual(howItStands(status({ state, conflicts: 2 })).text, "");
  assert.equal(howItStands(status()).text, "All committed");
  assert.deepEqual(howItStands(status({ state: "conflicts", conflicts: 1 })), {
    tone: "bad",
    text: "1 file in conflict",
  });
});

test("the next commit counts down, and says what it is about", () => {
  assert.equal(nextCommit(status(), NOW), "When somebody edits");
  assert.equal(nextCommit(status({ uncommitted: 3, next_commit_at: at(42) }), NOW), "in 42 s, 3 files not committed");
  assert.equal(nextCommit(status({ uncommitted: 1 }), NOW), "1 file not committed");
});

test("the last commit is ours with its subject, or somebody else's", () => {
  const ours = {
    number: 3,
    at: at(-120),
    commit: "1a2b3c4d5e6f7890",
    message: "Edit a.md\n\nBody",
    files: [],
    authors: [],
    state: "done",
  } satisfies Snapshot;
  assert.equal(lastCommit(ours, status(), NOW), "1a2b3c4d5e · Edit a.md · 2 minutes ago");
  assert.match(lastCommit({ ...ours, commit: "f".repeat(16) }, status(), NOW), /somebody else/);
  assert.equal(lastCommit(null, status({ head: null }), NOW), "None yet");
});

test("looking is told in seconds, and a webhook instead where it is relied on", () => {
  const watch = { last_look: at(-12), next_look: at(18), last_webhook: null, by_webhook: false };
  assert.equal(looking(status({ watch }), NOW), "Looked at 12 s ago, again in 18 s");
  assert.equal(
    looking(status({ watch: { ...watch, next_look: null } }), NOW),
    "Looked at 12 s ago, again before the next commit",
  );
  const heard = { ...watch, last_webhook: at(-300), by_webhook: true };
  assert.equal(looking(status({ watch: heard }), NOW), "A webhook tells of pushes, the last one 5 minutes ago");
  assert.equal(looking(status(), NOW), "");
});

test("what is left of the budget is told, and a pause before it", () => {
  const budget = { requests: 4960, content: 480, resets_at: at(1800), paused_until: null };
  assert.equal(budgetLeft(status({ budget }), NOW), "4,960 requests left, more in 30 min");
  assert.equal(
    budgetLeft(status({ budget: { ...budget, paused_until: at(60) } }), NOW),
    "GitHub asked for a pause: it goes on in 60 s",
  );
  assert.equal(budgetLeft(status(), NOW), "");
});

test("what differs comes first, and what is outside only where there is any", () => {
  assert.deepEqual(
    lists(preview()).map((each) => each.name),
    ["Different", "Only here", "Only there", "Equal"],
  );
  assert.equal(lists(preview({ outside: ["x"] })).length, 5);
});

test("where nothing is to be chosen it is said what happens", () => {
  assert.match(whatHappens(preview()), /nothing changes/);
  assert.equal(whatHappens(preview({ new_there: ["a", "b"] })), "2 files will come in.");
  assert.equal(whatHappens(preview({ new_here: ["a"] })), "1 file will go out with the next commit.");
  assert.match(whatHappens(preview({ new_here: ["a"], new_there: ["b"] })), /come in, and 1 file go out/);
  assert.match(whatHappens(preview({ new_branch: true, branch: "draft" })), /^The branch draft is made there\./);
});

test("each choice says in numbers what it does, and nothing about what is not there", () => {
  const found = choices(
    preview({ different: ["a", "b"], new_here: ["c"], new_there: ["d"], equal: ["e"], choice: true }),
  );
  assert.deepEqual(
    found.map((each) => each.take),
    ["merge", "theirs", "ours"],
  );
  const [merge, theirs, ours] = found.map((each) => each.means);
  assert.match(merge ?? "", /2 files will be in conflict/);
  assert.match(theirs ?? "", /1 file that is only here will be deleted/);
  assert.match(theirs ?? "", /can be brought back/);
  assert.match(ours ?? "", /2 files there will be overwritten, 1 file there will be deleted, 1 file will be added/);
  const plain = choices(preview({ different: ["a"], choice: true })).map((each) => each.means);
  for (const means of plain) assert.doesNotMatch(means, /0 files/);
});

test("what came of connecting is said in every state", () => {
  const done = (more: Partial<ConnectedRemote>): ConnectedRemote => ({
    ...remote(),
    head: "x",
    merged: [],
    conflicts: [],
    state: "done",
    detail: "",
    ...more,
  });
  assert.equal(whatCame(done({})), "The project is connected to alice/notes.");
  assert.match(whatCame(done({ merged: ["a", "b"] })), /2 files came in/);
  assert.match(whatCame(done({ conflicts: ["a"], state: "conflicts" })), /1 file in conflict/);
  assert.match(whatCame(done({ state: "failed", detail: "GitHub is away." })), /But GitHub is away/);
  assert.match(whatCame(done({ state: "running" })), /still coming in/);
  assert.equal(whatCame(done({ local: true })), "The project is in its own repository.");
});

test("whatever GitHub sends the browser back with has words", () => {
  assert.equal(whatGitHubSaid(null), null);
  assert.equal(whatGitHubSaid("installed")?.good, true);
  for (const said of ["state_invalid", "unauthenticated", "app_exists", "invalid", "remote_unreachable"])
    assert.equal(whatGitHubSaid(said)?.good, false, said);
});

test("patterns are lines", () => {
  assert.deepEqual(patternsOf(" *.md \n\n!drafts/\n"), ["*.md", "!drafts/"]);
  assert.deepEqual(patternsOf(""), []);
});

test("whatever names a repository is understood as its name", () => {
  for (const text of [
    "alice/notes",
    " https://github.com/alice/notes ",
    "https://github.com/alice/notes.git",
    "git@github.com:alice/notes.git",
    "github:alice/notes",
    "https://github.com/alice/notes/",
  ])
    assert.equal(repositoryOf(text), "alice/notes", text);
});
