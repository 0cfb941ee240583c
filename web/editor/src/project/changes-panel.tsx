/** What is not committed: which files, by whom, to be left out, discarded, or committed now; the last commits; how to clone. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { reachable } from "../api/http.ts";
import { type Change, nameOf, type Snapshot } from "../api/types.ts";
import { ago, baseName, countdown, counted, folderOf, timeOf } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { mayReachServer } from "../session.ts";
import { Button, CopyField, IconButton } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { useNow } from "../ui/now.ts";
import { toastError } from "../ui/toasts.tsx";
import { ask } from "./ask.tsx";
import { cloneOf } from "./clone.ts";
import { CloneCommand } from "./clone-command.tsx";
import { DiffDialog } from "./diff-dialog.tsx";
import type { OpenProject } from "./project.ts";
import { troubleOf } from "./trouble.ts";

export function ChangesPanel({ project, mayWrite }: { project: OpenProject; mayWrite: boolean }) {
  const { commits } = project;
  useEffect(() => {
    commits.loadSnapshots().catch((error: unknown) => toastError(error, "The list of commits could not be read"));
    commits.refreshSoon();
  }, []);
  const changes = commits.changes.value;
  const compared = useSignal<Change | null>(null);
  const clone = cloneOf(commits.status.value, mayReachServer());
  return (
    <section class="changes" aria-label="Changes" tabIndex={-1}>
      {mayWrite && <CommitForm project={project} />}
      <Trouble project={project} />
      {changes.length === 0 ? (
        <p class="side-empty">
          <Icon name="check" /> Everything is committed.
        </p>
      ) : (
        <ul class="change-list" aria-label="Not committed">
          {changes.map((change) => (
            <ChangeRow key={change.path} change={change} project={project} mayWrite={mayWrite} compared={compared} />
          ))}
        </ul>
      )}
      <LastCommits project={project} />
      {clone?.command && (
        <div class="side-block">
          <h2>Clone</h2>
          <CloneCommand clone={clone} project={project.name} />
        </div>
      )}
      {compared.value && <ChangeDiff change={compared.value} project={project} mayWrite={mayWrite} shown={compared} />}
    </section>
  );
}

function CommitForm({ project }: { project: OpenProject }) {
  const { commits } = project;
  const changes = commits.changes.value;
  const left = commits.left.value;
  const taken = changes.filter((change) => !left.has(change.path)).length;
  const next = timeOf(commits.status.value?.next_commit_at);
  const now = useNow(next !== null);
  return (
    <form
      class="commit-form"
      onSubmit={(event) => {
        event.preventDefault();
        void commits.commitNow();
      }}
    >
      <textarea
        class="input"
        rows={2}
        aria-label="Commit message"
        placeholder="Message (optional)"
        value={commits.message}
        onInput={(event) => {
          commits.message.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            void commits.commitNow();
          }
        }}
      />
      <Button type="submit" kind="primary" icon="commit" busy={commits.busy.value} disabled={taken === 0}>
        Commit now
      </Button>
      <p class="side-hint">
        {changes.length > 0 && taken < changes.length && `${counted(taken, "file")} of ${changes.length}. `}
        {byItself(changes.length > 0 ? next : null, now, !reachable.value)}
      </p>
    </form>
  );
}

function byItself(next: number | null, now: number, offline: boolean): string {
  if (offline) return "Commits wait until the server can be reached.";
  if (next === null) return "Quire commits by itself when it has been quiet for a while.";
  return `By itself ${countdown(next, now)}.`;
}

function Trouble({ project }: { project: OpenProject }) {
  const status = project.commits.status.value;
  if (status?.state !== "failed" && status?.state !== "conflicts") return null;
  const { sentence, more, command } = troubleOf(status.detail);
  return (
    <div class="side-trouble" role="alert">
      <p>
        <Icon name="warn" /> {sentence}
      </p>
      {status.state === "conflicts" && (
        <a class="button" href={hrefOf({ page: "conflicts", project: project.name, id: null })}>
          Resolve
        </a>
      )}
      {more !== "" && (
        <details>
          <summary>What to do</summary>
          <p>{more}</p>
        </details>
      )}
      {command && <CopyField label="Command for the server's machine" value={command} />}
    </div>
  );
}

const LETTER = { added: "A", modified: "M", deleted: "D", renamed: "R" } as const;

/** What a change is, against the last commit; it can be discarded from there. */
function ChangeDiff({
  change,
  project,
  mayWrite,
  shown,
}: {
  change: Change;
  project: OpenProject;
  mayWrite: boolean;
  shown: Signal<Change | null>;
}) {
  const { commits } = project;
  const head = commits.status.peek()?.head ?? null;
  const close = () => {
    shown.value = null;
  };
  return (
    <DiffDialog
      project={project.name}
      title={`${change.path}, since the last commit`}
      before={change.change === "added" ? null : { path: change.from ?? change.path, at: head }}
      after={change.change === "deleted" ? null : { path: change.path, at: null }}
      onClose={close}
      onUnable={() => (commits.comparable.value = false)}
    >
      {mayWrite && (
        <Button
          kind="danger"
          onClick={() => {
            close();
            void discard(project, change);
          }}
        >
          Discard…
        </Button>
      )}
      <Button kind="primary" onClick={close}>
        Close
      </Button>
    </DiffDialog>
  );
}

function ChangeRow({
  change,
  project,
  mayWrite,
  compared,
}: {
  change: Change;
  project: OpenProject;
  mayWrite: boolean;
  compared: Signal<Change | null>;
}) {
  const { commits, files } = project;
  const row = files.byPath(change.path);
  const comparable = commits.comparable.value && (change.change === "added" || commits.status.value?.head);
  const who = change.actors.map(nameOf).join(", ");
  const since = ago(timeOf(change.since), Date.now());
  const about = [change.from ? `from ${change.from}` : "", who && `by ${who}`, since && `since ${since}`]
    .filter(Boolean)
    .join(", ");
  return (
    <li class={`change ${change.change}`} title={`${change.path}: ${change.change} ${about}`}>
      {mayWrite && (
        <input
          type="checkbox"
          aria-label={`Commit ${change.path}`}
          checked={!commits.left.value.has(change.path)}
          onChange={(event) => commits.choose(change.path, event.currentTarget.checked)}
        />
      )}
      <button
        type="button"
        class="change-name"
        disabled={!row}
        onClick={() => row && project.openRow(row, { preview: true })}
      >
        <span class="change-file">{baseName(change.path)}</span>
        <span class="change-folder">{folderOf(change.path)}</span>
        <span class="change-about">{[who, since].filter(Boolean).join(" · ")}</span>
      </button>
      {comparable && (
        <IconButton
          icon="diff"
          label={`Show what changed in ${change.path}`}
          onClick={() => (compared.value = change)}
        />
      )}
      {mayWrite && (
        <IconButton
          icon="undo"
          label={`Discard the changes of ${change.path}`}
          onClick={() => void discard(project, change)}
        />
      )}
      <span class="change-letter">{LETTER[change.change]}</span>
    </li>
  );
}

async function discard(project: OpenProject, change: Change): Promise<void> {
  const sure = await ask({
    title: "Discard the changes?",
    text: `${change.path} becomes what it is in the last commit, for everybody. What was written since stays in the file's history.`,
    yes: "Discard",
    danger: true,
  });
  if (sure) await project.commits.discard(change);
}

function LastCommits({ project }: { project: OpenProject }) {
  const snapshots = project.commits.snapshots.value;
  if (snapshots === null || snapshots.length === 0) return null;
  return (
    <div class="side-block">
      <h2>Last commits</h2>
      <ol class="commit-list">
        {newest(snapshots, 6).map((each) => (
          <li key={each.number}>
            <span class="commit-message">{each.message?.split("\n")[0] || `Snapshot ${each.number}`}</span>
            <span class="commit-facts">
              {each.commit && <code>{each.commit.slice(0, 7)}</code>} {ago(timeOf(each.at), Date.now())}
            </span>
          </li>
        ))}
      </ol>
      <a href={hrefOf({ page: "history", project: project.name })}>All commits</a>
    </div>
  );
}

export function newest(snapshots: readonly Snapshot[], most: number): Snapshot[] {
  return [...snapshots].sort((a, b) => b.number - a.number).slice(0, most);
}
