/**
 * The tree on the screen: only the rows in sight are in the document, however many files there are.
 *
 * One element has the focus (the tree), the row that is meant is named by `aria-activedescendant`; arrows walk, Right and Left
 * unfold and fold, Enter opens, F2 renames, Delete deletes, letters jump to a name.
 */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { fileUrl } from "../api/files.ts";
import { messageOf } from "../api/http.ts";
import type { FileKind } from "../api/types.ts";
import { baseName, folderOf } from "../format.ts";
import { canWrite } from "../session.ts";
import { copyText } from "../ui/controls.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { type MenuEntry, openMenu } from "../ui/menu.tsx";
import { toast } from "../ui/toasts.tsx";
import { conflictOf } from "./conflict-notices.tsx";
import { folderUnder } from "./files-panel.tsx";
import type { OpenProject } from "./project.ts";
import type { View } from "./shortcuts.ts";
import type { Row } from "./tree.ts";

export type Naming = { what: "file" | "folder"; folder: string } | { what: "rename"; path: string };

const ROW = 25;
/** Rows beyond the edges, so that scrolling shows no gaps. */
const MORE = 12;
const DRAGGED = "application/x-quire-path";

interface TreeProps {
  project: OpenProject;
  naming: Signal<Naming | null>;
  view: View;
}

export function TreeView({ project, naming, view }: TreeProps) {
  const { files } = project;
  const element = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(600);
  const rows = files.rows.value;
  const chosen = files.chosen.value;
  const asked = naming.value;
  const insertAt = asked && asked.what !== "rename" ? placeForNew(rows, asked.folder) : -1;
  const total = rows.length + (insertAt >= 0 ? 1 : 0);

  useLayoutEffect(() => {
    const tree = element.current;
    if (!tree) return;
    const observer = new ResizeObserver(() => {
      height.value = tree.clientHeight;
    });
    observer.observe(tree);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const index = insertAt >= 0 ? insertAt : rows.findIndex((row) => row.path === chosen);
    if (index >= 0 && element.current) scrollTo(element.current, index);
  }, [chosen, insertAt]);

  const open = (row: Row, keepOpen: boolean) => {
    files.chosen.value = row.path;
    if (row.file === null) files.toggle(row.path);
    else {
      project.openRow(row.file, { preview: !keepOpen });
      if (matchMedia("(max-width: 720px)").matches) view.side.value = null;
    }
  };
  const first = Math.max(0, Math.floor(top.value / ROW) - MORE);
  const last = Math.min(total, Math.ceil((top.value + height.value) / ROW) + MORE);
  const shown = [];
  for (let index = first; index < last; index += 1) {
    if (index === insertAt && asked) {
      shown.push(<NamingRow key="naming" index={index} naming={naming} project={project} depth={depthOf(asked)} />);
      continue;
    }
    const row = rows[insertAt >= 0 && index > insertAt ? index - 1 : index];
    if (!row) continue;
    if (asked?.what === "rename" && asked.path === row.path) {
      shown.push(<NamingRow key="naming" index={index} naming={naming} project={project} depth={row.depth} />);
      continue;
    }
    shown.push(
      <TreeRow
        key={row.path}
        row={row}
        index={index}
        chosen={row.path === chosen}
        open={open}
        project={project}
        naming={naming}
      />,
    );
  }
  const active = rows.findIndex((row) => row.path === chosen);
  return (
    <div
      ref={element}
      class="tree"
      role="tree"
      aria-label={`Files of ${project.name}`}
      tabIndex={0}
      {...(active >= first && active < last && { "aria-activedescendant": rowId(chosen ?? "") })}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
      }}
      onKeyDown={(event) => onKey(event, rows, project, naming, open)}
      onContextMenu={(event) => {
        if (event.target !== event.currentTarget && !(event.target as Element).classList.contains("tree-space")) return;
        event.preventDefault();
        files.chosen.value = null;
        openMenu("Files", emptyMenu(project, naming), event.clientX, event.clientY);
      }}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes(DRAGGED)) event.preventDefault();
      }}
      onDrop={(event) => dropMoved(event, project)}
    >
      {rows.length === 0 && insertAt < 0 && (
        <p class="tree-empty">
          {files.filter.value.trim() === "" ? "No files yet. Make one, or drop some here." : "No file matches."}
        </p>
      )}
      <div class="tree-space" role="presentation" style={{ height: `${total * ROW}px` }}>
        {shown}
      </div>
    </div>
  );
}

interface RowProps {
  row: Row;
  index: number;
  chosen: boolean;
  open: (row: Row, keepOpen: boolean) => void;
  project: OpenProject;
  naming: Signal<Naming | null>;
}

function TreeRow({ row, index, chosen, open, project, naming }: RowProps) {
  const { files, tabs } = project;
  const shown = row.file !== null && tabs.active.value === row.file.id;
  const mark = row.file ? markOf(project, row.path) : null;
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus and names this row as its active descendant
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree hears the keys
    <div
      id={rowId(row.path)}
      class={`tree-row${chosen ? " chosen" : ""}${shown ? " shown" : ""}${mark ? ` ${mark.className}` : ""}`}
      role="treeitem"
      aria-label={row.name}
      aria-level={row.depth + 1}
      aria-posinset={row.place}
      aria-setsize={row.siblings}
      aria-selected={chosen}
      {...(row.kind === "folder" && { "aria-expanded": row.open })}
      title={row.path}
      data-folder={row.kind === "folder" ? row.path : folderOf(row.path)}
      style={{ top: `${index * ROW}px`, "--depth": String(row.depth) }}
      draggable={canWrite.value}
      onDragStart={(event) => event.dataTransfer?.setData(DRAGGED, row.path)}
      onClick={() => open(row, false)}
      onDblClick={() => row.file && open(row, true)}
      onAuxClick={(event) => event.button === 1 && row.file && open(row, true)}
      onContextMenu={(event) => {
        event.preventDefault();
        files.chosen.value = row.path;
        openMenu(row.name, rowMenu(row, project, naming), event.clientX, event.clientY);
      }}
    >
      <span class="tree-twist">{row.kind === "folder" && <Icon name="chevron" size={12} />}</span>
      <Icon
        name={row.kind === "folder" ? (row.open ? "folderOpen" : "folder") : iconOf(row.file?.kind, row.name)}
        size={15}
      />
      <span class="tree-name">{row.name}</span>
      {mark && (
        <span class="tree-mark" title={mark.title} aria-hidden="true">
          {mark.letter}
        </span>
      )}
    </div>
  );
}

function markOf(project: OpenProject, path: string): { letter: string; title: string; className: string } | null {
  if (conflictOf(project, project.files.byPath(path)?.id ?? "", path))
    return { letter: "!", title: "In conflict with what was pushed", className: "conflicted" };
  const change = project.commits.byPath.value.get(path);
  switch (change?.change) {
    case "added":
      return { letter: "A", title: "New since the last commit", className: "added" };
    case "modified":
      return { letter: "M", title: "Changed since the last commit", className: "modified" };
    case "renamed":
      return {
        letter: "R",
        title: `Renamed since the last commit${change.from ? `, from ${change.from}` : ""}`,
        className: "modified",
      };
    default:
      return null;
  }
}

export function iconOf(kind: FileKind | undefined, name: string): IconName {
  if (kind === "symlink" || kind === "submodule") return "link";
  if (/\.(png|jpe?g|gif|webp|svg|avif|ico|bmp)$/i.test(name)) return "image";
  return kind === "text" ? "file" : "binary";
}

/**
 * The row in which a new name, or another one, is typed. Enter takes it, Escape does not, leaving it takes it. A name that is
 * refused stays, with the reason.
 */
function NamingRow({
  index,
  naming,
  project,
  depth,
}: {
  index: number;
  naming: Signal<Naming | null>;
  project: OpenProject;
  depth: number;
}) {
  const asked = naming.value;
  const input = useRef<HTMLInputElement>(null);
  const busy = useRef(false);
  const refused = useSignal<{ name: string; why: string } | null>(null);
  const before = asked?.what === "rename" ? baseName(asked.path) : "";
  useLayoutEffect(() => {
    input.current?.focus({ preventScroll: true });
    const dot = before.lastIndexOf(".");
    input.current?.setSelectionRange(0, dot > 0 ? dot : before.length);
  }, []);
  if (!asked) return null;
  const leave = () => {
    const byKey = document.activeElement === input.current;
    if (naming.peek() === asked) naming.value = null;
    if (byKey) document.querySelector<HTMLElement>('[role="tree"]')?.focus();
  };
  const finish = async (take: boolean) => {
    if (busy.current) return;
    const name = input.current?.value.trim().replace(/^\/+|\/+$/g, "") ?? "";
    busy.current = true;
    try {
      if (take && name !== "" && name !== before) await apply(project, asked, name);
      leave();
    } catch (error) {
      refused.value = { name, why: messageOf(error) };
    } finally {
      busy.current = false;
    }
  };
  // Whoever goes elsewhere after a name was refused does not want it any more.
  const left = () => void finish(refused.peek()?.name !== input.current?.value.trim());
  const label = asked.what === "rename" ? `New name of ${before}` : `Name of the new ${asked.what}`;
  return (
    <div class="tree-row naming" role="presentation" style={{ top: `${index * ROW}px`, "--depth": String(depth) }}>
      <span class="tree-twist" />
      <Icon name={asked.what === "folder" ? "folder" : "file"} size={15} />
      <input
        ref={input}
        class="input"
        aria-label={label}
        aria-invalid={refused.value !== null}
        {...(refused.value && { "aria-describedby": "naming-error" })}
        spellcheck={false}
        autocomplete="off"
        defaultValue={before}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Enter") void finish(true);
          if (event.key === "Escape") void finish(false);
        }}
        onInput={() => (refused.value = null)}
        onBlur={left}
      />
      {refused.value && (
        <span class="naming-error" id="naming-error" role="alert">
          {refused.value.why}
        </span>
      )}
    </div>
  );
}

async function apply(project: OpenProject, asked: Naming, name: string): Promise<void> {
  const { files } = project;
  if (asked.what === "rename") {
    const folder = folderOf(asked.path);
    await files.rename(asked.path, folder === "" ? name : `${folder}/${name}`);
    return;
  }
  const path = asked.folder === "" ? name : `${asked.folder}/${name}`;
  if (asked.what === "folder") {
    files.makeFolder(path);
    return;
  }
  const row = await files.make(path);
  if (row) project.openRow(row);
}

function rowMenu(row: Row, project: OpenProject, naming: Signal<Naming | null>): MenuEntry[] {
  const { files } = project;
  const folder = row.file ? folderOf(row.path) : row.path;
  const entries: MenuEntry[] = [];
  const { file } = row;
  if (file) {
    entries.push({ label: "Open", icon: "file", run: () => project.openRow(file) });
    if (file.kind !== "submodule")
      entries.push({ label: "Download", icon: "download", run: () => download(project.name, row.path) });
  }
  entries.push({
    label: "Copy path",
    icon: "copy",
    run: () => void copyText(row.path).then(() => toast("Path copied.")),
  });
  if (!canWrite.value) return entries;
  const start = (what: "file" | "folder") => () => {
    if (folder !== "") files.toggle(folder, true);
    naming.value = { what, folder };
  };
  entries.push(
    "line",
    { label: "New file", icon: "newFile", run: start("file") },
    { label: "New folder", icon: "newFolder", run: start("folder") },
    { label: "Rename", icon: "rename", keys: "F2", run: () => (naming.value = { what: "rename", path: row.path }) },
    { label: "Delete", icon: "trash", keys: "Del", danger: true, run: () => void files.remove(row.path) },
  );
  return entries;
}

function emptyMenu(project: OpenProject, naming: Signal<Naming | null>): MenuEntry[] {
  const fold: MenuEntry = { label: "Fold all folders", icon: "collapse", run: () => project.files.collapse() };
  if (!canWrite.value) return [fold];
  return [
    { label: "New file", icon: "newFile", run: () => (naming.value = { what: "file", folder: "" }) },
    { label: "New folder", icon: "newFolder", run: () => (naming.value = { what: "folder", folder: "" }) },
    fold,
  ];
}

function download(project: string, path: string): void {
  const link = document.createElement("a");
  link.href = fileUrl(project, path);
  link.download = baseName(path);
  link.click();
}

function dropMoved(event: DragEvent, project: OpenProject): void {
  const from = event.dataTransfer?.getData(DRAGGED);
  if (!from) return;
  event.preventDefault();
  const folder = folderUnder(event.target) ?? "";
  if (folder === folderOf(from) || folder === from || folder.startsWith(`${from}/`)) return;
  void project.files.move(from, folder === "" ? baseName(from) : `${folder}/${baseName(from)}`);
}

let typed = "";
let typedAt = 0;

function onKey(
  event: KeyboardEvent,
  rows: readonly Row[],
  project: OpenProject,
  naming: Signal<Naming | null>,
  open: (row: Row, keepOpen: boolean) => void,
): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target !== event.currentTarget) return;
  const { files } = project;
  const at = rows.findIndex((row) => row.path === files.chosen.peek());
  const row = rows[at];
  const choose = (index: number) => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (next) files.chosen.value = next.path;
  };
  const page = Math.max(1, Math.floor((event.currentTarget as HTMLElement).clientHeight / ROW) - 1);
  switch (event.key) {
    case "ArrowDown":
      choose(at + 1);
      break;
    case "ArrowUp":
      choose(at < 0 ? rows.length - 1 : at - 1);
      break;
    case "PageDown":
      choose(at + page);
      break;
    case "PageUp":
      choose(at - page);
      break;
    case "Home":
      choose(0);
      break;
    case "End":
      choose(rows.length - 1);
      break;
    case "ArrowRight":
      if (row?.kind === "folder" && !row.open) files.toggle(row.path, true);
      else if (row?.kind === "folder") choose(at + 1);
      break;
    case "ArrowLeft":
      if (row?.kind === "folder" && row.open && files.filter.peek() === "") files.toggle(row.path, false);
      else if (row && row.depth > 0) files.chosen.value = folderOf(row.path);
      break;
    case "Enter":
      if (row) openWithKey(row, project, open);
      break;
    case " ":
      if (row) open(row, false);
      break;
    case "F2":
      if (row && canWrite.value) naming.value = { what: "rename", path: row.path };
      break;
    case "Delete":
    case "Backspace":
      if (row && canWrite.value && (event.key === "Delete" || /Mac/.test(navigator.platform))) {
        choose(at + 1);
        void files.remove(row.path);
      }
      break;
    case "ContextMenu":
      if (row) openMenuAt(row, project, naming);
      break;
    default:
      if (event.key.length !== 1) return;
      jump(event.key, rows, at, choose);
  }
  event.preventDefault();
}

/** Enter on a file means to write in it: the text gets the focus. */
function openWithKey(row: Row, project: OpenProject, open: (row: Row, keepOpen: boolean) => void): void {
  open(row, true);
  const tab = row.file ? project.tabs.find(row.file.id) : undefined;
  if (tab) tab.focus.value = true;
}

function openMenuAt(row: Row, project: OpenProject, naming: Signal<Naming | null>): void {
  const box = document.getElementById(rowId(row.path))?.getBoundingClientRect();
  openMenu(row.name, rowMenu(row, project, naming), (box?.left ?? 0) + 40, box?.bottom ?? 0);
}

/** Letters typed quickly one after the other are the beginning of a name. */
function jump(letter: string, rows: readonly Row[], at: number, choose: (index: number) => void): void {
  const now = Date.now();
  typed = now - typedAt < 800 ? typed + letter : letter;
  typedAt = now;
  const wanted = typed.toLowerCase();
  const start = typed.length === 1 ? at + 1 : Math.max(0, at);
  for (let step = 0; step < rows.length; step += 1) {
    const index = (start + step) % rows.length;
    if (rows[index]?.name.toLowerCase().startsWith(wanted)) {
      choose(index);
      return;
    }
  }
}

function rowId(path: string): string {
  return `row-${encodeURIComponent(path)}`;
}

function depthOf(asked: Naming): number {
  if (asked.what === "rename" || asked.folder === "") return 0;
  return asked.folder.split("/").length;
}

/** A new name is typed below its folder's row, before what is in the folder. */
function placeForNew(rows: readonly Row[], folder: string): number {
  return folder === "" ? 0 : rows.findIndex((row) => row.path === folder) + 1;
}

function scrollTo(tree: HTMLElement, index: number): void {
  const rowTop = index * ROW;
  if (rowTop < tree.scrollTop) tree.scrollTop = rowTop - ROW;
  else if (rowTop + ROW > tree.scrollTop + tree.clientHeight) tree.scrollTop = rowTop + 2 * ROW - tree.clientHeight;
}
