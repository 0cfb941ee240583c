/** The commits of a project, newest first, with the files of each. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchSnapshots, fetchStatus } from "../api/commits.ts";
import { messageOf } from "../api/http.ts";
import { nameOf, type Snapshot, type Status } from "../api/types.ts";
import { ago, counted, timeOf } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { newest } from "../project/changes-panel.tsx";
import { cloneOf } from "../project/clone.ts";
import { CloneCommand } from "../project/clone-command.tsx";
import { DiffDialog, type Version } from "../project/diff-dialog.tsx";
import { mayReachServer } from "../session.ts";
import { Button, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";
import { ProjectFrame } from "./frame.tsx";

export function HistoryPage({ project }: { project: string }) {
  const snapshots = useSignal<Snapshot[] | null>(null);
  const status = useSignal<Status | null>(null);
  const error = useSignal<string | null>(null);
  const load = async () => {
    error.value = null;
    try {
      [snapshots.value, status.value] = await Promise.all([fetchSnapshots(project), fetchStatus(project)]);
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => {
    document.title = `Commits — ${project}`;
    void load();
  }, [project]);
  const clone = cloneOf(status.value, mayReachServer());
  const compared = useSignal<Compared | null>(null);
  const comparable = useSignal(true);
  const shown = newest(snapshots.value ?? [], 500);
  const head = status.value?.head;
  return (
    <ProjectFrame project={project} title="Commits" retry={() => void load()}>
      {error.value && (
        <Message title="The commits could not be read" actions={<Button onClick={() => void load()}>Try again</Button>}>
          <p>{error.value}</p>
        </Message>
      )}
      {!error.value && snapshots.value === null && <Loading what="the commits" />}
      {snapshots.value?.length === 0 && head && (
        <Message icon="commit" title="No commits made here yet">
          <p>
            Imported at <code>{head.slice(0, 10)}</code>; no commits made here yet. Quire commits by itself when nobody
            has typed for a while.
          </p>
          <CloneCommand clone={clone} project={project} />
        </Message>
      )}
      {snapshots.value?.length === 0 && !head && (
        <Message icon="commit" title="No commits yet">
          <p>
            Quire commits by itself when nobody has typed for a while, or when you press "Commit now" in the project.
          </p>
        </Message>
      )}
      {shown.length > 0 && (
        <>
          <CloneCommand clone={clone} project={project} />
          <ol class="history" aria-label="Commits">
            {shown.map((each, index) => (
              <Entry
                key={each.number}
                project={project}
                snapshot={each}
                before={shown.slice(index + 1).find((older) => older.commit)?.commit ?? null}
                compared={compared}
                comparable={comparable.value}
              />
            ))}
          </ol>
        </>
      )}
      {compared.value && (
        <DiffDialog
          project={project}
          {...compared.value}
          onClose={() => (compared.value = null)}
          onUnable={() => (comparable.value = false)}
        />
      )}
    </ProjectFrame>
  );
}

interface Compared {
  title: string;
  before: Version | null;
  after: Version | null;
}

interface EntryProps {
  project: string;
  snapshot: Snapshot;
  /** The commit before it, as far as it was made here. */
  before: string | null;
  compared: Signal<Compared | null>;
  comparable: boolean;
}

function comparison(snapshot: Snapshot, before: string | null, file: Snapshot["files"][number]): Compared | null {
  const { commit } = snapshot;
  if (commit === null || (before === null && file.change !== "added")) return null;
  return {
    title: `${file.path}, in ${commit.slice(0, 10)}`,
    before: file.change === "added" ? null : { path: file.from ?? file.path, at: before },
    after: file.change === "deleted" ? null : { path: file.path, at: commit },
  };
}

function Entry({ project, snapshot, before, compared, comparable }: EntryProps) {
  const [title, ...body] = (snapshot.message ?? "").trim().split("\n");
  const who = snapshot.authors.map(nameOf).join(", ");
  return (
    <li class={`history-entry ${snapshot.state}`}>
      <span class="history-dot" aria-hidden="true">
        <Icon name={snapshot.state === "failed" ? "warn" : "commit"} />
      </span>
      <div>
        <p class="history-title">{title || `Snapshot ${snapshot.number}`}</p>
        <p class="history-facts">
          {snapshot.commit && <code>{snapshot.commit.slice(0, 10)}</code>}
          {who && <span>{who}</span>}
          <span>{ago(timeOf(snapshot.at), Date.now())}</span>
          {snapshot.state !== "done" && <span class="history-state">{snapshot.state}</span>}
        </p>
        <details>
          <summary>{counted(snapshot.files.length, "file")}</summary>
          {body.join("\n").trim() && <pre class="history-body">{body.join("\n").trim()}</pre>}
          <ul>
            {snapshot.files.slice(0, 200).map((file) => {
              const diff = comparable ? comparison(snapshot, before, file) : null;
              return (
                <li key={file.path}>
                  <span class={`change-letter ${file.change}`}>{file.change[0]?.toUpperCase()}</span>
                  <a href={hrefOf({ page: "project", project, path: file.path, line: null })}>{file.path}</a>
                  {diff && (
                    <button type="button" class="link" onClick={() => (compared.value = diff)}>
                      Changes<span class="offscreen"> of {file.path}</span>
                    </button>
                  )}
                </li>
              );
            })}
          </ul>
          {snapshot.files.length > 200 && <p>and {snapshot.files.length - 200} more</p>}
        </details>
      </div>
    </li>
  );
}
