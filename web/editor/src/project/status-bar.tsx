/** The line at the bottom: is it saved, what is not in git and when it will be, where the cursor is. */

import { reachable } from "../api/http.ts";
import { type Indent, indentName, setWrap, wrap } from "../code/settings.ts";
import { countdown, counted, timeOf } from "../format.ts";
import type { LinkState } from "../live/live-file.ts";
import { canWrite } from "../session.ts";
import { Icon } from "../ui/icons.tsx";
import { openMenu } from "../ui/menu.tsx";
import { useNow } from "../ui/now.ts";
import type { OpenProject } from "./project.ts";
import type { View } from "./shortcuts.ts";
import type { Tab } from "./tabs.ts";
import { troubleOf } from "./trouble.ts";

export function StatusBar({ project, view }: { project: OpenProject; view: View }) {
  const tab = project.tabs.current;
  return (
    <footer class="status">
      <SaveStatus project={project} tab={tab} />
      <CommitStatus project={project} view={view} />
      <span class="spring" />
      {tab && <TextStatus tab={tab} />}
    </footer>
  );
}

const SAYS = { connecting: "Connecting…", saved: "Saved", saving: "Saving…", offline: "Offline" } as const;

/** Where no connection will come by itself, "Offline" would be a wrong promise. */
const ENDED: Partial<Record<LinkState, string>> = {
  gone: "Deleted",
  replaced: "Replaced",
  refused: "Not allowed",
  broken: "Not saved",
};

function SaveStatus({ project, tab }: { project: OpenProject; tab: Tab | undefined }) {
  const live = tab?.live.value;
  const others = project.tabs.list.value.filter(
    (each) => each.id !== tab?.id && (each.live.value?.pending.value ?? 0) > 0,
  );
  if (!live) {
    return others.length === 0 ? null : (
      <span class="status-item warn">{counted(others.length, "other file")} not saved yet</span>
    );
  }
  const save = live.save.value;
  const pending = live.pending.value;
  // A reader has nothing to save, and the server acknowledges nothing of his.
  const reading = !canWrite.value && live.link.value === "live" && live.loaded.value;
  const says = ENDED[live.link.value] ?? (reading ? "Read only" : SAYS[save]);
  return (
    <span class={`status-item save ${save}`}>
      <Icon name={reading ? "eye" : save === "saved" ? "check" : save === "offline" ? "offline" : "cloud"} size={14} />
      <span role="status">{says}</span>
      {save === "offline" && pending > 0 && (
        <span class="status-more">{counted(pending, "change")} kept in this tab</span>
      )}
      {others.length > 0 && <span class="status-more">{counted(others.length, "other file")} not saved yet</span>}
    </span>
  );
}

function CommitStatus({ project, view }: { project: OpenProject; view: View }) {
  const { commits } = project;
  const now = useNow(commits.status.value?.next_commit_at !== null);
  const count = commits.changes.value.length;
  const status = commits.status.value;
  const next = timeOf(status?.next_commit_at);
  const show = () => {
    view.side.value = view.side.value === "changes" ? "files" : "changes";
  };
  if (!status) return null;
  const failed = status.state === "failed" || status.state === "conflicts";
  const branch = status.remote?.branch;
  return (
    <button
      type="button"
      class={failed ? "status-item warn" : "status-item"}
      title={failed ? troubleOf(status.detail).sentence : "What is not committed"}
      onClick={show}
    >
      <Icon name={failed ? "warn" : "commit"} size={14} />
      {branch && <span class="status-branch">{branch}</span>}
      <span>{sentence(status.state, count, next, now, !reachable.value)}</span>
    </button>
  );
}

function sentence(state: string, count: number, next: number | null, now: number, offline: boolean): string {
  if (offline) return count === 0 ? "Commits wait for the server" : `${count} not committed · commits wait`;
  if (state === "committing" || state === "running") return "Committing…";
  if (state === "pulling") return "Pulling…";
  if (state === "failed") return "The last commit failed";
  if (state === "conflicts") return "There are conflicts";
  if (count === 0) return "All committed";
  const what = `${count} not committed`;
  return next === null ? what : `${what} · commits ${countdown(next, now)}`;
}

function TextStatus({ tab }: { tab: Tab }) {
  const editor = tab.editor.value;
  const row = tab.row.value;
  if (!editor) return null;
  const { line, column, selected, places } = editor.place.value;
  const indent = editor.indent.value;
  const wraps = wrap.value;
  return (
    <>
      <span class="status-item status-place">
        Ln {line}, Col {column}
        {selected > 0 && ` (${selected} selected)`}
        {places > 1 && ` · ${places} cursors`}
      </span>
      <button
        type="button"
        class="status-item extra"
        aria-haspopup="menu"
        onClick={(event) =>
          openAbove(
            "Indentation",
            indentMenu(indent, (value) => (editor.indent.value = value)),
            event,
          )
        }
      >
        {indentName(indent)}
      </button>
      <button
        type="button"
        class="status-item extra"
        aria-pressed={wraps === "on"}
        onClick={() => setWrap(wraps === "on" ? "off" : "on")}
        title="Wrap long lines (until you choose: prose yes, code no)"
      >
        Wrap: {wraps}
      </button>
      <span class="status-item extra" title="The line ending in git and in downloads">
        {row.eol === "crlf" ? "CRLF" : "LF"}
      </span>
      <span class="status-item">{editor.language.value}</span>
    </>
  );
}

function indentMenu(now: Indent, set: (indent: Indent) => void) {
  const choices: Indent[] = [
    { tabs: false, size: 2 },
    { tabs: false, size: 4 },
    { tabs: false, size: 8 },
    { tabs: true, size: 4 },
    { tabs: true, size: 8 },
  ];
  return choices.map((each) => ({
    label: indentName(each),
    checked: each.tabs === now.tabs && each.size === now.size,
    run: () => set(each),
  }));
}

function openAbove(label: string, entries: Parameters<typeof openMenu>[1], event: MouseEvent): void {
  const box = (event.currentTarget as Element).getBoundingClientRect();
  openMenu(label, entries, box.left, box.top - 28 * entries.length - 14);
}
