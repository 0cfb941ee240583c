/** What a conflict is, and what can be done about it, for people. PURE. */

import { type Conflict, nameOf } from "../api/types.ts";

export interface Way {
  take: "ours" | "theirs" | "both";
  label: string;
  /** What becomes of the files. */
  means: string;
}

/** "what was pushed by Bob in commit 1a2b3c4d5e" */
export function pushedBy(conflict: Pick<Conflict, "pushed_by" | "commit">): string {
  const who = nameOf(conflict.pushed_by);
  return `what was pushed${who && ` by ${who}`} in commit ${conflict.commit.slice(0, 10)}`;
}

/** One sentence. */
export function whatHappened(conflict: Conflict): string {
  const who = nameOf(conflict.pushed_by) || "somebody";
  const { ours, theirs, blockers } = conflict;
  const there = theirs?.path ?? conflict.path;
  if (deletedSince(conflict)) return `${who} changed it in git. It was changed here too, and deleted since.`;
  switch (conflict.kind) {
    case "modify/modify":
      return `The same lines were changed here and by ${who} in git.`;
    case "add/add":
      if (blockers.length > 0)
        return `${who} pushed ${there}, which differs from ${listed(blockers)} in capitals or accents alone. Not every machine can hold both.`;
      return `A file of this name was made here and by ${who} in git.`;
    case "modify/delete":
      return `${who} deleted it in git; it was changed here.`;
    case "delete/modify":
      return `It was deleted here; ${who} changed it in git. What was pushed has been brought back until this is decided.`;
    case "rename":
      if (blockers.length > 0 && blockers[0] !== conflict.path)
        return `${who} moved it to ${there} in git, where ${listed(blockers)} stands here.`;
      return `It has another name on either side: ${ours?.path ?? "none"} here, ${there} in git.`;
    case "type":
      if (blockers.length > 0)
        return `${who} pushed ${there}, where ${listed(blockers)} stands here: one of them is a folder.`;
      return `It is another kind of thing on either side: ${typeOf(ours?.mode)} here, ${typeOf(theirs?.mode)} in git.`;
    case "binary":
      return `It was changed here and by ${who} in git, and it has no lines that could be merged.`;
  }
}

/** There is no file of ours any more to be held against theirs. */
function deletedSince({ kind, state, ours, theirs, blockers }: Conflict): boolean {
  const lines = kind === "modify/modify" || kind === "add/add" || kind === "binary";
  return lines && state === "open" && ours === null && theirs !== null && blockers.length === 0;
}

/** In the order in which they are offered. */
export function ways(conflict: Conflict): Way[] {
  const { ours, theirs, blockers, path } = conflict;
  const there = theirs?.path ?? path;
  if (deletedSince(conflict))
    return [
      { take: "ours", label: "Leave it deleted", means: "It is deleted in git too, with the next commit." },
      { take: "theirs", label: "Take what was pushed", means: "The file comes back, as it was pushed." },
    ];
  const way = (take: Way["take"], label: string, means: string): Way => ({ take, label, means });
  switch (conflict.kind) {
    case "modify/modify":
    case "add/add":
      if (blockers.length > 0)
        return [
          way("ours", `Keep ${listed(blockers)}`, `${there} goes; it can be brought back.`),
          way("theirs", `Take ${there}`, `${listed(blockers)} is deleted here; it can be brought back.`),
          way("both", "Keep both", "They stand side by side, as git can hold them."),
        ];
      return [
        way("ours", "Keep ours", "The lines in conflict stay as they are here."),
        way("theirs", "Take theirs", "The lines in conflict become what was pushed."),
        way("both", "Keep both", "Ours, and theirs below."),
      ];
    case "modify/delete":
      return [
        way("ours", "Keep the file", "It goes back into git with the next commit."),
        way("theirs", "Delete it", "It is deleted here too; it can be brought back."),
      ];
    case "delete/modify":
      return [
        way("ours", "Delete it again", "It is deleted in git too, with the next commit."),
        way("theirs", "Keep what was pushed", "The file stays as it is now."),
      ];
    case "rename":
      if (ours === null || (blockers.length > 0 && blockers[0] !== path))
        return [
          way("ours", "Leave ours where they are", `${there} goes from git with the next commit.`),
          way("theirs", `Move it to ${there}`, `${listed(blockers)} is deleted here; it can be brought back.`),
        ];
      return [
        way("ours", `Call it ${ours.path}`, `${there} goes from git with the next commit.`),
        way("theirs", `Call it ${there}`, "It is moved here; documents, history and cursors go along."),
        way("both", "Keep both", `Two files: ${ours.path} as it is here, ${there} as it was pushed.`),
      ];
    case "type":
      return [
        way("ours", "Keep ours", "What was pushed goes from git with the next commit; it is kept."),
        way("theirs", "Take theirs", "What stands in the way here is replaced or deleted; it can be brought back."),
      ];
    case "binary":
      return [
        way("ours", "Keep ours", "Git gets it with the next commit."),
        way("theirs", "Take theirs", "The file becomes what was pushed."),
      ];
  }
}

/** How it ended: "Bob kept ours, 3 minutes ago" without the time. */
export function howItEnded(conflict: Conflict): string {
  const who = nameOf(conflict.ended_by) || "Quire";
  if (conflict.state === "gone") return "The branch moved on before anybody decided it";
  switch (conflict.taken) {
    case "ours":
      return `${who} kept ours`;
    case "theirs":
      return `${who} took theirs`;
    case "both":
      return `${who} kept both`;
    case "branch":
      return `Theirs was taken, and ours went to the branch ${conflict.aside?.branch ?? ""}`.trim();
    case "itself":
      return "What was typed here agrees with what was pushed";
    default:
      return `${who} merged it by hand`;
  }
}

/** The sides that can be brought back: those that have the file, and that are not what stands there. */
export function canComeBack(conflict: Conflict): ("ours" | "theirs" | "base")[] {
  if (conflict.state !== "resolved") return [];
  const stands = conflict.restored ?? (conflict.taken === "branch" ? "theirs" : conflict.taken);
  return (["ours", "theirs", "base"] as const).filter((side) => conflict[side] !== null && side !== stands);
}

export const SIDES = { ours: "ours", theirs: "theirs", base: "the version before" } as const;

function listed(paths: readonly string[]): string {
  const [first = "", ...rest] = paths;
  return rest.length === 0 ? first : `${first} and ${rest.length} more`;
}

function typeOf(mode: string | undefined): string {
  switch (mode) {
    case "120000":
      return "a symbolic link";
    case "160000":
      return "a submodule";
    case undefined:
      return "nothing";
    default:
      return "a file";
  }
}
