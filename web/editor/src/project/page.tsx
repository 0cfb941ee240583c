/** The page of a project: tree and changes at the left, tabs and text in the middle, the status bar below. */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { ApiError } from "../api/http.ts";
import { keep, kept } from "../kept.ts";
import { go, hrefOf, route } from "../navigation.ts";
import { canManage, canWrite } from "../session.ts";
import { Button, IconButton, Loading } from "../ui/controls.tsx";
import type { MenuEntry } from "../ui/menu.tsx";
import { ConnectionBanner, Message, TopBar } from "../ui/shell.tsx";
import { AskHost } from "./ask.tsx";
import { ChangesPanel } from "./changes-panel.tsx";
import { ConflictBanner } from "./conflict-notices.tsx";
import { EditorPane } from "./editor-pane.tsx";
import { FilesPanel } from "./files-panel.tsx";
import { InviteDialog } from "./invite-dialog.tsx";
import { Present } from "./present.tsx";
import { OpenProject } from "./project.ts";
import { QuickOpen } from "./quick-open.tsx";
import { type Side, useShortcuts, type View } from "./shortcuts.ts";
import { ShortcutsDialog } from "./shortcuts-dialog.tsx";
import { StatusBar } from "./status-bar.tsx";
import { TabBar } from "./tab-bar.tsx";
import { VersionView } from "./version.tsx";

const NARROW = matchMedia("(max-width: 720px)");

export function ProjectPage({ project: name }: { project: string }) {
  const project = useMemo(() => new OpenProject(name), [name]);
  const at = route.value;
  const path = at.page === "project" ? at.path : null;
  const line = at.page === "project" ? at.line : null;
  const version = at.page === "project" && at.path !== null ? (at.at ?? null) : null;
  const view: View = {
    side: useSignal<Side>(NARROW.matches ? null : "files"),
    dialog: useSignal(null),
  };
  useEffect(() => {
    void project.start();
    return () => project.stop();
  }, [project]);
  useEffect(() => {
    if (!project.ready.value) return;
    if (version !== null) project.tabs.active.value = null;
    else if (path !== null) project.openPath(path, line);
    else openFirst(project);
  }, [project.ready.value, path, line, version]);
  useEffect(() => {
    const shown = project.tabs.current?.row.value.path;
    document.title = shown ? `${shown} — ${name}` : `${name} — Quire`;
  });
  useShortcuts(project, view);
  if (project.error.value) {
    return (
      <div class="page">
        <TopBar />
        <ProjectError name={name} error={project.error.value} retry={() => void project.start()} />
      </div>
    );
  }
  return (
    <div class="page workbench">
      <ProjectBar project={project} view={view} />
      <ConnectionBanner retry={() => project.retry()} />
      <ConflictBanner project={project} />
      <div class="bench">
        <Sidebar project={project} view={view} />
        <main class="desk" aria-label="Open files">
          <TabBar project={project} />
          {!project.ready.value ? (
            <Loading what={name} />
          ) : path !== null && version !== null ? (
            <VersionView project={name} path={path} at={version} />
          ) : (
            <EditorPane project={project} view={view} />
          )}
        </main>
      </div>
      <StatusBar project={project} view={view} />
      {view.dialog.value === "open" && <QuickOpen project={project} onClose={() => (view.dialog.value = null)} />}
      {view.dialog.value === "invite" && <InviteDialog project={name} onClose={() => (view.dialog.value = null)} />}
      {view.dialog.value === "keys" && <ShortcutsDialog onClose={() => (view.dialog.value = null)} />}
      <AskHost />
    </div>
  );
}

/** Without a path in the address: the tabs of the last visit, or a readme, which is what a newcomer would open. */
function openFirst(project: OpenProject): void {
  const { files, tabs } = project;
  if (tabs.active.peek() !== null) return;
  const last = tabs.list.peek().at(-1);
  if (last) {
    tabs.show(last.id);
    return;
  }
  const readme = files.paths().find((each) => /^readme(\.\w+)?$/i.test(each));
  const row = readme ? files.byPath(readme) : undefined;
  if (row) {
    project.openRow(row, { preview: true });
    files.chosen.value = row.path;
  }
}

function ProjectBar({ project, view }: { project: OpenProject; view: View }) {
  const { name } = project;
  const more: MenuEntry[] = [
    { label: "Commits", icon: "history", run: () => go({ page: "history", project: name }) },
    { label: "Conflicts", icon: "warn", run: () => go({ page: "conflicts", project: name, id: null }) },
    { label: "Project settings", icon: "settings", run: () => go({ page: "settings", project: name }) },
    { label: "Keyboard shortcuts", icon: "keyboard", keys: "F1", run: () => (view.dialog.value = "keys") },
  ];
  return (
    <TopBar
      more={more}
      end={
        <>
          <Present project={project} />
          {canManage.value && (
            <Button kind="primary" icon="invite" onClick={() => (view.dialog.value = "invite")}>
              Invite
            </Button>
          )}
        </>
      }
    >
      <IconButton
        icon="sidebar"
        label="Sidebar"
        keys="Ctrl+B"
        pressed={view.side.value !== null}
        onClick={() => (view.side.value = view.side.value === null ? "files" : null)}
      />
      <a class="project-name" href={hrefOf({ page: "project", project: name, path: null, line: null })}>
        {name}
      </a>
      <button type="button" class="finder" onClick={() => (view.dialog.value = "open")}>
        <span>Go to file…</span>
        <kbd>Ctrl+P</kbd>
      </button>
    </TopBar>
  );
}

function Sidebar({ project, view }: { project: OpenProject; view: View }) {
  const width = useSignal(Number(kept("sidebar")) || 270);
  const side = view.side.value;
  if (side === null) return null;
  const drag = (event: PointerEvent) => {
    const handle = event.currentTarget as HTMLElement;
    handle.setPointerCapture(event.pointerId);
    const from = event.clientX - width.value;
    handle.onpointermove = (moved) => {
      width.value = Math.max(180, Math.min(560, moved.clientX - from));
    };
    handle.onpointerup = () => {
      handle.onpointermove = null;
      keep("sidebar", String(width.value));
    };
  };
  const nudge = (event: KeyboardEvent) => {
    const step = event.key === "ArrowLeft" ? -16 : event.key === "ArrowRight" ? 16 : 0;
    width.value = Math.max(180, Math.min(560, width.value + step));
    if (step !== 0) keep("sidebar", String(width.value));
  };
  const count = project.commits.changes.value.length;
  return (
    <aside class="sidebar" style={{ "--sidebar": `${width.value}px` }} aria-label="Sidebar">
      <div class="side-switch" role="group" aria-label="Sidebar view">
        <button type="button" aria-pressed={side === "files"} onClick={() => (view.side.value = "files")}>
          Files
        </button>
        <button type="button" aria-pressed={side === "changes"} onClick={() => (view.side.value = "changes")}>
          Changes{count > 0 && <span class="badge">{count}</span>}
        </button>
      </div>
      {side === "files" ? (
        <FilesPanel project={project} view={view} />
      ) : (
        <ChangesPanel project={project} mayWrite={canWrite.value} />
      )}
      <div
        class="side-edge"
        role="separator"
        aria-label="Width of the sidebar"
        aria-orientation="vertical"
        aria-valuenow={width.value}
        aria-valuemin={180}
        aria-valuemax={560}
        tabIndex={0}
        onPointerDown={drag}
        onKeyDown={nudge}
      />
    </aside>
  );
}

function ProjectError({ name, error, retry }: { name: string; error: ApiError; retry: () => void }) {
  const home = (
    <a class="button primary" href={hrefOf({ page: "projects" })}>
      All projects
    </a>
  );
  if (error.status === 404) {
    return (
      <Message icon="search" title={`There is no project ${name} here`} actions={home}>
        <p>It may have been renamed or deleted, or you were invited to another one. Ask whoever sent you the link.</p>
      </Message>
    );
  }
  if (error.status === 403) {
    return (
      <Message title={`You may not open ${name}`} actions={home}>
        <p>Your login is for another project. Ask whoever manages this one for an invitation link.</p>
      </Message>
    );
  }
  return (
    <Message
      icon="offline"
      title={`${name} could not be opened`}
      actions={
        <>
          <Button kind="primary" onClick={retry}>
            Try again
          </Button>
          {home}
        </>
      }
    >
      <p>{error.message}</p>
    </Message>
  );
}
