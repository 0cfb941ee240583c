/** The keys of the project page that work everywhere in it, and which parts of the page are shown. */

import type { Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { toast } from "../ui/toasts.tsx";
import { closeTab } from "./closing.ts";
import type { OpenProject } from "./project.ts";

export type Side = "files" | "changes" | null;

export interface View {
  side: Signal<Side>;
  dialog: Signal<"open" | "invite" | "keys" | null>;
}

export const SHORTCUTS: readonly [keys: string, does: string][] = [
  ["Ctrl+P", "Go to a file by a few letters of its path"],
  ["Ctrl+S", "What is saved, and what is not yet committed"],
  ["Ctrl+B", "Show or hide the sidebar"],
  ["Ctrl+Shift+E", "To the tree of files"],
  ["Ctrl+Shift+G", "To the changes that are not committed"],
  ["Alt+W", "Close the file (browsers keep Ctrl+W for themselves)"],
  ["Alt+Page Up, Alt+Page Down", "The tab to the left, to the right"],
  ["F2", "Rename the chosen file or folder"],
  ["Delete", "Delete the chosen file or folder"],
  ["Ctrl+F", "Find and replace in the text"],
  ["Ctrl+Z, Ctrl+Y", "Undo and redo what you typed; never what others did"],
  ["Escape, then Tab", "Out of the text with the keyboard"],
  ["F1", "This list"],
];

export function useShortcuts(project: OpenProject, view: View): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]") && event.key !== "F1") return;
      const action = actionOf(event, project, view);
      if (action === null) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    };
    addEventListener("keydown", onKey, { capture: true });
    return () => removeEventListener("keydown", onKey, { capture: true });
  }, [project]);
}

function actionOf(event: KeyboardEvent, project: OpenProject, view: View): (() => void) | null {
  const { tabs } = project;
  const mod = (event.ctrlKey || event.metaKey) && !event.altKey;
  if (event.key === "F1") return () => (view.dialog.value = "keys");
  if (mod && event.shiftKey && event.code === "KeyE") return () => goToTree(project, view);
  if (mod && event.shiftKey && event.code === "KeyG") return () => goToChanges(view);
  if (mod && !event.shiftKey) {
    if (event.code === "KeyP") return () => (view.dialog.value = "open");
    if (event.code === "KeyS") return () => saySaved(project, view);
    if (event.code === "KeyB") return () => (view.side.value = view.side.value === null ? "files" : null);
  }
  if (event.altKey && !event.ctrlKey && !event.metaKey) {
    const { current } = tabs;
    if (event.code === "KeyW" && current) return () => void closeTab(project, current);
    if (event.code === "PageUp") return () => tabs.step(-1);
    if (event.code === "PageDown") return () => tabs.step(1);
  }
  return null;
}

/** The tree has the focus and says which row is meant: the shown file's, where none was chosen. */
function goToTree(project: OpenProject, view: View): void {
  const { files, tabs } = project;
  view.side.value = "files";
  if (files.chosen.peek() === null) {
    const shown = tabs.current?.row.peek().path;
    if (shown) files.reveal(shown);
    else files.chosen.value = files.rows.peek()[0]?.path ?? null;
  }
  focusSoon(['[role="tree"]']);
}

/** To the message; who may not commit has none, and comes to the first change. */
function goToChanges(view: View): void {
  view.side.value = "changes";
  focusSoon([".changes textarea", ".changes .change-name", ".changes"]);
}

/** When the panel is drawn: the first of these that is there. */
function focusSoon(selectors: readonly string[]): void {
  requestAnimationFrame(() => {
    const found = selectors.map((each) => document.querySelector<HTMLElement>(each));
    found.find((element) => element !== null)?.focus();
  });
}

/** Ctrl+S is a habit: it is answered with the truth. */
function saySaved(project: OpenProject, view: View): void {
  const unsaved = project.tabs.list.peek().filter((tab) => tab.live.peek()?.unsaved.peek());
  const changes = project.commits.changes.peek().length;
  if (unsaved.length > 0) {
    toast("Not everything has reached the server yet. It is sent as soon as it can be; keep this tab open.");
    return;
  }
  if (changes === 0) {
    toast("Everything is saved and committed. Quire saves as you type.");
    return;
  }
  toast("Everything is saved. Quire saves as you type.", {
    label: "Commit…",
    run: () => {
      view.side.value = "changes";
    },
  });
}
