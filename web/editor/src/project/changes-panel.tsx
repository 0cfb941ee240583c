/** What is not committed: which files, by whom, to be left out, discarded, or committed now; the last commits; how to clone. */

import { useEffect } from "preact/hooks";
import { type Change, nameOf, type Snapshot } from "../api/types.ts";
import { ago, baseName, countdown, counted, folderOf, timeOf } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { Button, CopyField, IconButton } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { toastError } from "../ui/toasts.tsx";
import { ask } from "./ask.tsx";
import { cloneCommand } from "./clone.ts";
import type { OpenProject } from "./project.ts";

export function ChangesPanel({ project, mayWrite }: { project: OpenProject; mayWrite: boolean }) {
  const { commits } = project;
  useEffect(() => {
    commits.loadSnapshots().catch((error: unknown) => toastError(error, "The list of commits could not be read"));
    commits.refreshSoon();
  }, []);
  const changes = commits.changes.value;
  const clone = cloneCommand(commits.status.value);
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
            <ChangeRow key={change.path} change={change} project={project} mayWrite={mayWrite} />
          ))}
        </ul>
      )}
      <LastCommits project={project} />
      {clone && (
        <div class="side-block">
          <h2>Clone</h2>
          <CopyField label="Clone command" value={clone} />
        </div>
      )}
    </section>
  );
}

function CommitForm({ project }: { project: OpenProject }) {
  const { commits } = project;
  const changes = commits.changes.value;
  const left = commits.left.value;
  const taken = changes.filter((change) => !left.has(change.path)).length;
  const next = timeOf(commits.status.value?.next_commit_at);
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
        {next !== null && changes.length > 0
          ? `By itself ${countdown(next, Date.now())}.`
          : "Quire commits by itself when it has been quiet for a while."}
      </p>
    </form>
  );
}

function Trouble({ project }: { project: OpenProject }) {
  const status = project.commits.status.value;
  if (status?.state !== "failed" && status?.state !== "conflicts") return null;
  return (
    <p class="side-trouble" role="alert">
      <Icon name="warn" /> {status.detail ?? "The last commit failed. Nothing is lost; it is tried again."}
    </p>
  );
}

const LETTER = { added: "A", modified: "M", deleted: "D", renamed: "R" } as const;

function ChangeRow({ change, project, mayWrite }: { change: Change; project: OpenProject; mayWrite: boolean }) {
  const { commits, files } = project;
  const row = files.byPath(change.path);
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
