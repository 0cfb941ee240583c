/** The open files as tabs: a dot while something of them is on its way to the disk, another name when two are called the same. */

import { useEffect, useRef } from "preact/hooks";
import { baseName, folderOf } from "../format.ts";
import { Icon } from "../ui/icons.tsx";
import { openMenu } from "../ui/menu.tsx";
import { closeTab } from "./closing.ts";
import type { OpenProject } from "./project.ts";
import type { Tab } from "./tabs.ts";
import { iconOf } from "./tree-view.tsx";

export function TabBar({ project }: { project: OpenProject }) {
  const tabs = project.tabs.list.value;
  if (tabs.length === 0) return null;
  const names = tabs.map((tab) => baseName(tab.row.value.path));
  return (
    <div class="tabs" role="tablist" aria-label="Open files" onWheel={scrollAcross}>
      {tabs.map((tab, index) => (
        <OneTab
          key={tab.id}
          tab={tab}
          project={project}
          twin={names.indexOf(names[index] ?? "") !== names.lastIndexOf(names[index] ?? "")}
        />
      ))}
    </div>
  );
}

function OneTab({ tab, project, twin }: { tab: Tab; project: OpenProject; twin: boolean }) {
  const { tabs } = project;
  const row = tab.row.value;
  const name = baseName(row.path);
  const active = tabs.active.value === tab.id;
  const mark = markOf(tab);
  const close = () => void closeTab(project, tab);
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (active) element.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);
  return (
    <div
      ref={element}
      class={`tab${active ? " active" : ""}${tab.preview.value ? " passing" : ""}${mark?.className ?? ""}`}
      role="presentation"
    >
      <button
        type="button"
        role="tab"
        class="tab-name"
        aria-selected={active}
        aria-controls="text"
        tabIndex={active ? 0 : -1}
        title={mark ? `${row.path} — ${mark.title}` : row.path}
        onClick={() => tabs.show(tab.id)}
        onDblClick={() => (tab.preview.value = false)}
        onMouseDown={(event) => event.button === 1 && event.preventDefault()}
        onAuxClick={(event) => event.button === 1 && close()}
        onKeyDown={(event) => onKey(event, project, close)}
        onContextMenu={(event) => {
          event.preventDefault();
          tabMenu(project, tab, event);
        }}
      >
        <Icon name={iconOf(row.kind, name)} size={14} />
        <span>{name}</span>
        {twin && <span class="tab-folder">{folderOf(row.path) || "/"}</span>}
      </button>
      <span class="tab-end">
        {mark && (
          <span class="tab-mark" title={mark.title}>
            <span class="offscreen">{mark.title}</span>
          </span>
        )}
        <button
          type="button"
          class="tab-close"
          tabIndex={-1}
          aria-label={`Close ${name}`}
          title="Close (Alt+W)"
          onClick={close}
        >
          <Icon name="close" size={13} />
        </button>
      </span>
    </div>
  );
}

function markOf(tab: Tab): { title: string; className: string } | null {
  const live = tab.live.value;
  if (!live) return null;
  if (live.link.value === "gone") return { title: "deleted", className: " gone" };
  if (live.recovered.value) return { title: "has text that could not be merged", className: " stuck" };
  if (live.pending.value === 0) return null;
  return live.save.value === "saving"
    ? { title: "being saved", className: " saving" }
    : { title: "not saved yet", className: " stuck" };
}

function onKey(event: KeyboardEvent, project: OpenProject, close: () => void): void {
  const { tabs } = project;
  const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  if (step !== 0) {
    tabs.step(step);
    const bar = (event.currentTarget as HTMLElement).closest('[role="tablist"]');
    requestAnimationFrame(() => bar?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
  } else if (event.key === "Delete") close();
  else return;
  event.preventDefault();
}

function tabMenu(project: OpenProject, tab: Tab, event: MouseEvent): void {
  const others = project.tabs.list.peek().filter((each) => each.id !== tab.id);
  const closeThese = async (these: Tab[]) => {
    for (const each of these) await closeTab(project, each);
  };
  openMenu(
    baseName(tab.row.peek().path),
    [
      { label: "Close", keys: "Alt+W", run: () => void closeTab(project, tab) },
      { label: "Close the others", disabled: others.length === 0, run: () => void closeThese(others) },
      { label: "Close all", run: () => void closeThese([...others, tab]) },
      "line",
      { label: "Show in the tree", run: () => project.files.reveal(tab.row.peek().path) },
    ],
    event.clientX,
    event.clientY,
  );
}

function scrollAcross(event: WheelEvent): void {
  if (event.deltaY !== 0) (event.currentTarget as HTMLElement).scrollLeft += event.deltaY;
}
