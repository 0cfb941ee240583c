/** The middle of the page: the text of the shown tab, or what is to be said instead of it. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { putFile } from "../api/files.ts";
import type { Place } from "../code/code-editor.tsx";
import { baseName, counted, folderOf } from "../format.ts";
import type { LiveFile } from "../live/live-file.ts";
import { abandon } from "../live/open-files.ts";
import { canWrite } from "../session.ts";
import { Button, copyText, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";
import { tell, toast } from "../ui/toasts.tsx";
import { ask } from "./ask.tsx";
import { closeTab } from "./closing.ts";
import { ConflictNotice } from "./conflict-notices.tsx";
import { Preview } from "./preview.tsx";
import type { OpenProject } from "./project.ts";
import type { View } from "./shortcuts.ts";
import type { Tab } from "./tabs.ts";

export type { Place };

export function EditorPane({ project, view }: { project: OpenProject; view: View }) {
  const tabs = project.tabs.list.value;
  const active = project.tabs.active.value;
  const missing = project.missing.value;
  const texts = tabs.filter((tab) => tab.live.value !== null && tab.row.value.kind === "text");
  const other = tabs.find((tab) => tab.id === active && tab.row.value.kind !== "text");
  return (
    <div class="pane" id="text" role="tabpanel" aria-label="Text">
      {texts.map((tab) => (
        <TextTab key={tab.id} tab={tab} project={project} shown={tab.id === active} />
      ))}
      {other && <ConflictNotice project={project} tab={other} />}
      {other && <Preview key={other.id} project={project.name} row={other.row.value} />}
      {active === null &&
        (missing === null ? <Nothing project={project} view={view} /> : <Missing project={project} path={missing} />)}
    </div>
  );
}

function TextTab({ tab, project, shown }: { tab: Tab; project: OpenProject; shown: boolean }) {
  const live = tab.live.value;
  if (live === null) return null;
  return (
    <div class="text" hidden={!shown}>
      <Notices tab={tab} project={project} live={live} />
      <ConflictNotice project={project} tab={tab} />
      {live.loaded.value ? (
        <Text tab={tab} live={live} shown={shown} />
      ) : (
        live.link.value !== "gone" && <Waiting live={live} path={tab.row.value.path} />
      )}
    </div>
  );
}

/** Where CodeMirror lives. It is fetched with the first text and made once for each document. */
function Text({ tab, live, shown }: { tab: Tab; live: LiveFile; shown: boolean }) {
  const parent = useRef<HTMLDivElement>(null);
  const failed = useSignal(false);
  const loaded = live.loaded.value;
  const readOnly = useComputed(
    () => !canWrite.value || ["gone", "replaced", "refused", "broken"].includes(live.link.value),
  );
  useEffect(() => {
    if (!loaded) return undefined;
    let gone = false;
    import("../code/code-editor.tsx").then(
      ({ openEditor }) => {
        if (gone || !parent.current) return;
        const path = tab.row.peek().path;
        tab.editor.value = openEditor({
          parent: parent.current,
          file: live,
          path,
          readOnly,
          onEdit: () => {
            tab.preview.value = false;
          },
        });
      },
      () => {
        failed.value = true;
      },
    );
    return () => {
      gone = true;
      tab.editor.peek()?.close();
      tab.editor.value = null;
    };
  }, [loaded]);
  const editor = tab.editor.value;
  const line = tab.line.value;
  const focus = tab.focus.value;
  useEffect(() => {
    if (!editor || !shown) return;
    if (line !== null) {
      editor.goTo(line);
      tab.line.value = null;
    }
    if (focus || line !== null) {
      editor.focus();
      tab.focus.value = false;
    }
  }, [editor, shown, line, focus]);
  if (failed.value) {
    return (
      <Message
        title="The editor could not be loaded"
        actions={<Button onClick={() => location.reload()}>Reload the page</Button>}
      >
        <p>The server did not send a part of the page. It may be restarting, or it was updated.</p>
      </Message>
    );
  }
  return <div class="code" ref={parent} />;
}

function Waiting({ live, path }: { live: LiveFile; path: string }) {
  if (live.link.value !== "offline") return <Loading what={baseName(path)} />;
  return (
    <Message
      icon="offline"
      title="Waiting for the server"
      actions={<Button onClick={() => live.retry()}>Try now</Button>}
    >
      <p>{baseName(path)} is opened as soon as the server answers.</p>
    </Message>
  );
}

/** What stands in the way of this file, with what can be done about it. */
function Notices({ tab, project, live }: { tab: Tab; project: OpenProject; live: LiveFile }) {
  const carried = live.carried.value;
  useEffect(() => {
    if (carried > 0)
      toast(`${tab.row.peek().path} has another document on the server now; what was not saved was carried over.`);
  }, [carried]);
  if (live.recovered.value)
    return <RecoveredNotice tab={tab} project={project} live={live} text={live.recovered.value} />;
  switch (live.link.value) {
    case "gone":
      return <GoneNotice tab={tab} project={project} live={live} />;
    case "replaced":
      return <ReplacedNotice tab={tab} project={project} live={live} />;
    case "refused":
      return (
        <Notice text={live.reason.value || "You may not, or no longer, open this file."}>
          {live.loaded.value && <KeepCopy tab={tab} live={live} />}
          <Button onClick={() => live.retry()}>Try again</Button>
        </Notice>
      );
    case "broken":
      return (
        <Notice
          text={`The server does not take this file as it is: ${live.reason.value || "too large, or damaged"}. What you see is what this tab holds.`}
        >
          <KeepCopy tab={tab} live={live} />
        </Notice>
      );
    default:
      return live.reason.value === "" ? null : <Notice text={live.reason.value} />;
  }
}

function Notice({ text, children }: { text: string; children?: preact.ComponentChildren }) {
  return (
    <div class="notice" role="alert">
      <Icon name="warn" />
      <span>{text}</span>
      <span class="notice-actions">{children}</span>
    </div>
  );
}

function GoneNotice({ tab, project, live }: { tab: Tab; project: OpenProject; live: LiveFile }) {
  const row = tab.row.value;
  const other = project.files.byPath(row.path);
  if (other && other.id !== row.id) return <ReplacedNotice tab={tab} project={project} live={live} />;
  const undelete = async () => {
    if (await project.files.bringBack([row])) live.retry();
  };
  return (
    <Notice text={`${row.path} was deleted.`}>
      {canWrite.value && <Button onClick={() => void undelete()}>Undelete</Button>}
      {live.loaded.value && <KeepCopy tab={tab} live={live} />}
      <Button onClick={() => void closeTab(project, tab)}>Close</Button>
    </Notice>
  );
}

/**
 * Deleted, and made anew by somebody. What was typed here and not saved goes into the new file, or beside it, or away: whichever
 * somebody chooses.
 */
function ReplacedNotice({ tab, project, live }: { tab: Tab; project: OpenProject; live: LiveFile }) {
  const { path } = tab.row.value;
  const beside = besides(path, (each) => project.files.byPath(each) !== undefined);
  const unsaved = live.pending.value > 0;
  const leave = () => {
    abandon(project.name, tab.id);
    project.tabs.close(tab.id);
  };
  const found = async () => {
    const row = (await project.files.fetch(path)) ?? project.files.byPath(path);
    if (!row || row.id === tab.id) throw new Error("It is not there any more.");
    return row;
  };
  const open = async () => {
    const row = await found();
    if (live.unsavedWork() !== null && !(await sureToLose(path))) return;
    project.openRow(row);
    leave();
  };
  const putIn = async () => {
    const row = await found();
    const work = live.unsavedWork();
    if (work && row.kind !== "text") throw new Error("The new one is no text. Save yours beside it.");
    project.openRow(row);
    if (work) project.tabs.find(row.id)?.live.peek()?.adopt(work);
    leave();
  };
  const saveBeside = async () => {
    await putFile(project.name, beside, live.text.toString(), true);
    const row = await project.files.fetch(beside);
    if (row) project.openRow(row);
    leave();
  };
  if (!unsaved) {
    return (
      <Notice text={`${path} was deleted, and another file stands in its place.`}>
        <Button kind="primary" onClick={() => void tell(`Could not open ${path}`, open)}>
          Open the new one
        </Button>
        <KeepCopy tab={tab} live={live} />
      </Notice>
    );
  }
  return (
    <Notice
      text={`${path} was deleted, and another file stands in its place. ${counted(live.pending.value, "change")} of yours did not get saved.`}
    >
      <Button kind="primary" onClick={() => void tell(`Could not put your text into ${path}`, putIn)}>
        Put my text into the new one
      </Button>
      <Button onClick={() => void tell(`Could not save ${beside}`, saveBeside)}>Save mine as {baseName(beside)}</Button>
      <KeepCopy tab={tab} live={live} />
      <Button onClick={() => void tell(`Could not open ${path}`, open)}>Open the new one</Button>
    </Notice>
  );
}

function sureToLose(path: string): Promise<boolean> {
  return ask({
    title: "Open the new one without your changes?",
    text: `What you changed in the old ${path} was not saved. When you open the new one like this, it is lost.`,
    yes: "Open and lose them",
    no: "Keep mine",
    danger: true,
  });
}

function KeepCopy({ tab, live }: { tab: Tab; live: LiveFile }) {
  return (
    <Button
      icon="copy"
      onClick={() =>
        void copyText(live.text.toString()).then(() => toast(`The text of ${tab.row.peek().path} was copied.`))
      }
    >
      Copy text
    </Button>
  );
}

/** Others changed the same lines, and nobody but a person can say what should stand there: our text goes beside theirs. */
function RecoveredNotice({
  tab,
  project,
  live,
  text,
}: {
  tab: Tab;
  project: OpenProject;
  live: LiveFile;
  text: string;
}) {
  const path = besides(tab.row.value.path, (each) => project.files.byPath(each) !== undefined);
  const save = async () => {
    if (!(await tell(`Could not save ${path}`, () => putFile(project.name, path, text, true)))) return;
    live.forget();
    const row = await project.files.fetch(path);
    if (row) project.openRow(row);
  };
  return (
    <Notice text="This file was replaced on the server, and the same lines that you changed differ there. Your text is kept here until you decide.">
      <Button kind="primary" onClick={() => void save()}>
        Save mine as {baseName(path)}
      </Button>
      <Button icon="copy" onClick={() => void copyText(text).then(() => toast("Your text was copied."))}>
        Copy mine
      </Button>
      <Button kind="danger" onClick={() => live.forget()}>
        Throw mine away
      </Button>
    </Notice>
  );
}

function besides(path: string, taken: (path: string) => boolean): string {
  const name = baseName(path);
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const folder = folderOf(path);
  for (let count = 1; ; count += 1) {
    const copy = `${stem}.recovered${count === 1 ? "" : `-${count}`}${ending}`;
    const at = folder === "" ? copy : `${folder}/${copy}`;
    if (!taken(at)) return at;
  }
}

function Nothing({ project, view }: { project: OpenProject; view: View }) {
  const { count } = project.files;
  return (
    <section class="nothing" aria-label="No file is open">
      <p class="nothing-title">
        {count.value === 0 ? "This project has no files yet." : `${counted(count.value, "file")}, none open.`}
      </p>
      <dl class="keys">
        <div>
          <dt>
            <kbd>Ctrl+P</kbd>
          </dt>
          <dd>
            <button type="button" class="link" onClick={() => (view.dialog.value = "open")}>
              Go to a file
            </button>
          </dd>
        </div>
        <div>
          <dt>
            <kbd>F1</kbd>
          </dt>
          <dd>
            <button type="button" class="link" onClick={() => (view.dialog.value = "keys")}>
              All keyboard shortcuts
            </button>
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Missing({ project, path }: { project: OpenProject; path: string }) {
  const make = async () => {
    const row = await project.files.create(path);
    if (row) project.openRow(row);
  };
  return (
    <Message
      icon="search"
      title={`${baseName(path)} is not there`}
      actions={canWrite.value && <Button onClick={() => void make()}>Create it</Button>}
    >
      <p>
        No file lives at <code>{path}</code>. It may have been renamed or deleted; Ctrl+P finds files by a few letters.
      </p>
    </Message>
  );
}
