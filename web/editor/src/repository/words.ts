/** What is said about a project's repository, and about connecting it elsewhere. PURE: `now` is given. */

import type { ConnectedRemote, Remote, RemotePreview, Snapshot, Status, Take } from "../api/types.ts";
import { ago, countdown, counted, timeOf } from "../format.ts";

/** Where the project is committed. `link` leads there, where people can look at it. */
export function whereIs(remote: Remote): { text: string; link: string | null } {
  if (remote.local) return { text: "The project's own repository, on this server", link: null };
  if (remote.kind === "git") return { text: remote.repository, link: null };
  const address = /https?:\/\/\S+/.exec(remote.clone)?.[0].replace(/\.git$/, "") ?? null;
  return { text: remote.repository, link: address };
}

export function throughWhat(remote: Remote): string {
  if (remote.credential === "app") return "through the GitHub App";
  if (remote.credential === "token") return "with a token of this project";
  if (remote.credential === "server") return "with the server's token";
  return "";
}

/** Which part of the repository the project is. */
export function whichPart(remote: Pick<Remote, "folder" | "patterns">): string {
  const folder = remote.folder === "" ? "" : `the folder ${remote.folder}`;
  const patterns = remote.patterns.length === 0 ? "" : `files like ${remote.patterns.join(", ")}`;
  if (folder !== "" && patterns !== "") return `${folder}, there ${patterns}`;
  return folder || patterns || "everything";
}

export type Tone = "good" | "busy" | "bad";

export function howItStands(status: Status): { tone: Tone; text: string } {
  switch (status.state) {
    case "committing":
    case "running":
      return { tone: "busy", text: "Committing now" };
    case "pulling":
      return { tone: "busy", text: "Bringing what was pushed" };
    case "failed":
      return { tone: "bad", text: "Something is wrong" };
    case "conflicts":
      return { tone: "bad", text: `${counted(status.conflicts, "file")} in conflict` };
    case "idle":
      return { tone: "good", text: status.uncommitted === 0 ? "All committed" : "In order" };
  }
}

export function nextCommit(status: Status, now: number): string {
  const at = timeOf(status.next_commit_at);
  const files = status.uncommitted === 0 ? "" : `${counted(status.uncommitted, "file")} not committed`;
  if (at === null) return files === "" ? "When somebody edits" : files;
  return files === "" ? countdown(at, now) : `${countdown(at, now)}, ${files}`;
}

export function lastCommit(snapshot: Snapshot | null, status: Status, now: number): string {
  const head = status.head?.slice(0, 10) ?? null;
  if (snapshot?.commit && status.head === snapshot.commit) {
    const subject = snapshot.message?.split("\n", 1)[0] ?? "";
    return [head, subject, ago(timeOf(snapshot.at), now)].filter(Boolean).join(" · ");
  }
  return head === null ? "None yet" : `${head} · pushed by somebody else`;
}

/** When the branch is looked at for what others push. */
export function looking(status: Status, now: number): string {
  const watch = status.watch;
  if (!watch) return "";
  const last = timeOf(watch.last_look);
  const next = timeOf(watch.next_look);
  const heard = timeOf(watch.last_webhook);
  const looked = last === null ? "Not looked at yet" : `Looked at ${since(last, now)}`;
  const again = next === null ? "again before the next commit" : `again ${countdown(next, now)}`;
  if (watch.by_webhook && heard !== null) return `A webhook tells of pushes, the last one ${since(heard, now)}`;
  return `${looked}, ${again}`;
}

/** As `ago`, in seconds while there are few. */
function since(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  return seconds < 90 ? `${seconds} s ago` : ago(at, now);
}

export function budgetLeft(status: Status, now: number): string {
  const budget = status.budget;
  if (!budget) return "";
  const paused = timeOf(budget.paused_until);
  if (paused !== null && paused > now) return `GitHub asked for a pause: it goes on ${countdown(paused, now)}`;
  const resets = timeOf(budget.resets_at);
  const until = resets === null ? "" : `, more ${countdown(resets, now)}`;
  return `${counted(budget.requests, "request")} left${until}`;
}

/** The lists of a preview, in the order in which they matter. */
export function lists(preview: RemotePreview): { name: string; what: string; paths: string[] }[] {
  return [
    { name: "Different", what: "on both sides, and not the same", paths: preview.different },
    { name: "Only here", what: "in the project alone", paths: preview.new_here },
    { name: "Only there", what: "in the repository alone", paths: preview.new_there },
    { name: "Equal", what: "the same on both sides", paths: preview.equal },
    { name: "Outside", what: "left alone, and not committed there", paths: preview.outside },
  ].filter((each) => each.name !== "Outside" || each.paths.length > 0);
}

/** What connecting does where nothing is to be chosen. */
export function whatHappens(preview: RemotePreview): string {
  const begins = preview.new_branch ? `The branch ${preview.branch} is made there. ` : "";
  const comes = preview.new_there.length;
  const goes = preview.new_here.length;
  if (preview.different.length > 0) return `${begins}What differs is merged, as after any pull.`;
  if (comes > 0 && goes > 0)
    return `${begins}${counted(comes, "file")} will come in, and ${counted(goes, "file")} go out with the next commit.`;
  if (comes > 0) return `${begins}${counted(comes, "file")} will come in.`;
  if (goes > 0) return `${begins}${counted(goes, "file")} will go out with the next commit.`;
  return `${begins}Both sides are the same: nothing changes but the place.`;
}

export interface Choice {
  take: Take;
  title: string;
  /** What it would do, in numbers. */
  means: string;
}

export function choices(preview: RemotePreview): Choice[] {
  const { different, new_here: here, new_there: there, equal } = preview;
  const files = (count: number): string => counted(count, "file");
  const sentences = (...parts: (string | false)[]): string => parts.filter(Boolean).join(" ");
  return [
    {
      take: "merge",
      title: "Keep both",
      means: sentences(
        equal.length > 0 && `${files(equal.length)} ${are(equal.length)} the same and ${stay(equal.length)}.`,
        there.length > 0 && `${files(there.length)} will come in.`,
        here.length > 0 && `${files(here.length)} will go out with the next commit.`,
        different.length > 0 &&
          `${files(different.length)} will be in conflict, to be decided one by one; until then nothing of them is committed.`,
      ),
    },
    {
      take: "theirs",
      title: "Take the repository's",
      means: sentences(
        different.length > 0 && `${files(different.length)} will become what the repository has.`,
        there.length > 0 && `${files(there.length)} will come in.`,
        here.length > 0 && `${files(here.length)} that ${are(here.length)} only here will be deleted.`,
        "What goes stays in the history, and can be brought back.",
      ),
    },
    {
      take: "ours",
      title: "Keep the project's",
      means: sentences(
        "The next commit makes the repository what the project is:",
        different.length > 0 && `${files(different.length)} there will be overwritten,`,
        there.length > 0 && `${files(there.length)} there will be deleted,`,
        here.length > 0 && `${files(here.length)} will be added,`,
        "on top of its history, never by force.",
      ),
    },
  ];
}

const are = (count: number): string => (count === 1 ? "is" : "are");
const stay = (count: number): string => (count === 1 ? "stays" : "stay");

/** What came of it, once the project is connected. */
export function whatCame(done: ConnectedRemote): string {
  const where = done.local
    ? "The project is in its own repository."
    : `The project is connected to ${done.repository}.`;
  if (done.state === "running") return `${where} Files are still coming in.`;
  if (done.state === "failed") return `${where} But ${done.detail}`;
  if (done.conflicts.length > 0) return `${where} ${counted(done.conflicts.length, "file")} in conflict.`;
  if (done.merged.length > 0) return `${where} ${counted(done.merged.length, "file")} came in.`;
  return where;
}

/** What GitHub's sending the browser back has brought (`?github=`). */
export function whatGitHubSaid(said: string | null): { good: boolean; text: string } | null {
  switch (said) {
    case null:
      return null;
    case "installed":
      return {
        good: true,
        text: "The GitHub App may reach what you have chosen. Connect the project to a repository now.",
      };
    case "state_invalid":
      return {
        good: false,
        text: "No App was taken over: this was begun in another browser, or too long ago. Begin again.",
      };
    case "unauthenticated":
      return { good: false, text: "No App was taken over: you were logged out meanwhile. Begin again." };
    case "app_exists":
      return { good: false, text: "There is a GitHub App here already. Remove it first, to make another one." };
    case "invalid":
      return {
        good: false,
        text: "GitHub did not know its own code any more: it is good once, and for an hour. Begin again.",
      };
    default:
      return {
        good: false,
        text: "GitHub could not be asked for the App's keys. Begin again; nothing was kept of it.",
      };
  }
}

/** One pattern a line, as somebody writes them; empty lines are none. */
export function patternsOf(text: string): string[] {
  return text
    .split("\n")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

/** `owner/name` of whatever somebody pastes: an address of the page or of a clone, too. */
export function repositoryOf(text: string): string {
  const plain = text.trim().replace(/^(?:https?:\/\/[^/\s]+\/|git@[^:\s]+:|github:)/, "");
  return plain.replace(/(?:\.git)?\/*$/, "");
}
