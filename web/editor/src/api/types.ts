/** What the API carries, as far as the page reads it. Times are milliseconds or RFC 3339 (`timeOf` reads both). */

export type Time = number | string | null;

export interface Actor {
  id: string;
  name: string;
  kind?: "person" | "agent" | "service";
  color?: string | null;
  email?: string | null;
}

export type Role = "viewer" | "editor" | "admin" | "root";

export interface Me {
  actor: Actor;
  role: Role;
  /** The one project that this login reaches; null: several, or all of them. */
  project: string | null;
  /** Project to role, where the login reaches several. */
  roles?: Record<string, Role>;
  csrf: string | null;
}

export interface Project {
  name: string;
  files?: number;
  updated_at?: Time;
  created_at?: Time;
  /** The number of the newest event. */
  events?: number;
}

export type FileKind = "text" | "binary" | "symlink" | "submodule" | "lfs";

export interface FileRow {
  path: string;
  id: string;
  kind: FileKind;
  mode: number | string;
  mime: string | null;
  size: number;
  sha: string | null;
  position: number;
  updated_at: Time;
  updated_by: string | Actor | null;
  eol?: "lf" | "crlf";
  bom?: boolean;
}

export interface ProjectEvent {
  n: number;
  kind: string;
  path: string | null;
  document: string | null;
  sha: string | null;
  position: number | null;
  actors: (string | Actor)[];
  at: Time;
  data?: Record<string, unknown> | null;
}

export interface Change {
  path: string;
  change: "added" | "modified" | "deleted" | "renamed";
  from?: string | null;
  actors: Actor[];
  since: Time;
}

export interface Status {
  remote: {
    kind?: string;
    path?: string;
    repository?: string;
    branch?: string;
    clone?: string | null;
    archived?: boolean;
  } | null;
  /** Where git clones it and pushes to; null where pushes go elsewhere. */
  git?: string | null;
  head: string | null;
  uncommitted: number;
  conflicts: number;
  /** Files that do not belong to what the project is connected to. */
  outside?: number;
  state: "idle" | "running" | "pulling" | "committing" | "failed" | "conflicts";
  detail: string | null;
  next_commit_at: Time;
  budget?: Budget | null;
  watch?: Watch | null;
  pull_requests?: WaitingFiles[];
}

/** What may still be asked of the host. */
export interface Budget {
  requests: number;
  content: number;
  resets_at: Time;
  paused_until: Time;
}

/** When the branch was looked at for what others pushed, and when it will be. */
export interface Watch {
  last_look: Time;
  next_look: Time;
  last_webhook: Time;
  by_webhook: boolean;
}

/** Files that another branch holds, with the pull request that brings them, where there is one. */
export interface WaitingFiles {
  branch: string;
  files: number;
  number: number | null;
  url: string | null;
  closed: boolean;
}

export type Take = "theirs" | "ours" | "merge";

export interface Remote {
  kind: "github" | "git";
  repository: string;
  branch: string;
  folder: string;
  patterns: string[];
  pull_request: boolean;
  /** It is the project's own repository, in the server's data directory. */
  local: boolean;
  clone: string;
  credential: "token" | "app" | "server" | null;
  installation: number | null;
  connected_at: Time;
  connected_by: Actor | null;
}

export interface WantedRemote {
  kind: "github" | "git";
  repository: string;
  branch?: string;
  folder?: string;
  patterns?: string[];
  token?: string;
  installation?: number;
  pull_request?: boolean;
}

export interface Pulled {
  head: string | null;
  merged: string[];
  conflicts: string[];
  state: "done" | "nothing" | "conflicts" | "failed" | "running";
  detail: string;
}

export type ConnectedRemote = Remote & Pulled;

/** Paths of what belongs; `choice`: somebody has to say what counts. */
export interface RemotePreview {
  new_here: string[];
  new_there: string[];
  equal: string[];
  different: string[];
  choice: boolean;
  outside: string[];
  uncommitted: number;
  repository: string;
  branch: string;
  head: string | null;
  new_branch: boolean;
}

export interface GitHub {
  app: { name: string; owner: string; url: string; install: string; webhook: boolean; made_at: Time } | null;
  /** The server has a token of its own, for root. */
  server_token: boolean;
  api: string;
}

/** What a browser posts to GitHub so that it makes an App. */
export interface Manifest {
  action: string;
  manifest: Record<string, unknown>;
}

export interface Installation {
  id: number;
  account: string;
  whole: boolean;
  suspended: boolean;
  may_commit: boolean;
  url: string;
  /** Whose admins may use it; null where somebody else than root asks. */
  projects: string[] | null;
}

export interface Repository {
  id: number;
  name: string;
  private: boolean;
  archived: boolean;
  default_branch: string;
  may_commit: boolean;
  pushed_at: Time;
}

export interface RepositoryPage {
  repositories: Repository[];
  cursor: string | null;
}

export interface Snapshot {
  number: number;
  at: Time;
  commit: string | null;
  message: string | null;
  files: { path: string; change: string; from?: string | null }[];
  authors: (string | Actor)[];
  state: "done" | "running" | "failed" | "nothing";
  detail?: string | null;
}

export type ConflictKind =
  | "modify/modify"
  | "add/add"
  | "modify/delete"
  | "delete/modify"
  | "rename"
  | "type"
  | "binary";

export interface ConflictSide {
  path: string;
  sha: string;
  mode: string;
  text?: string;
}

export interface Conflict {
  id: string;
  path: string;
  kind: ConflictKind;
  base: ConflictSide | null;
  ours: ConflictSide | null;
  theirs: ConflictSide | null;
  at: Time;
  commit: string;
  pushed_by: Actor | null;
  document: string | null;
  blockers: string[];
  policy: Policy;
  detail: string;
  state: "open" | "resolved" | "gone";
  taken: "ours" | "theirs" | "both" | "text" | "branch" | "itself" | null;
  ended_at: Time;
  ended_by: Actor | null;
  aside: { branch: string; url: string | null } | null;
  restored: "base" | "ours" | "theirs" | null;
}

export interface ConflictInFull extends Conflict {
  hunks: {
    base: string;
    ours: string;
    theirs: string;
    base_line: number;
    ours_line: number;
    theirs_line: number;
  }[];
  /** Texts that are clean, and numbers of hunks; absent when there are no lines to merge. */
  merged?: (string | number)[];
}

export type Policy = "manual" | "ours" | "theirs" | "branch";

/** What becomes of conflicts in files that a pattern means. */
export interface Rule {
  pattern: string;
  policy: Policy;
}

export interface Job {
  id: string;
  state: "running" | "done" | "failed";
  phase: string | null;
  done: number;
  total: number | null;
  message: string | null;
  skipped?: unknown[];
}

export interface Invite {
  id: string;
  role: Role;
  url?: string;
  created_at?: Time;
  created_by?: string | Actor | null;
  expires_at: Time;
}

export interface Token {
  id: string;
  name?: string | null;
  role: Role;
  agent?: string | null;
  created_at?: Time;
  created_by?: string | Actor | null;
  expires_at?: Time;
  last_used_at?: Time;
}

/** Who somebody is, where the API gives a name or only an id. */
export function nameOf(actor: string | Actor | null | undefined): string {
  if (actor === null || actor === undefined) return "";
  return typeof actor === "string" ? actor : actor.name || actor.id;
}
