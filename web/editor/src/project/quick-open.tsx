/** Goes to a file by a few letters of its path. With `:12` at the end, to a line. */

import { useComputed, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { baseName, folderOf } from "../format.ts";
import { type Match, search } from "./fuzzy.ts";
import type { OpenProject } from "./project.ts";

const MOST = 50;

export function QuickOpen({ project, onClose }: { project: OpenProject; onClose: () => void }) {
  const element = useRef<HTMLDialogElement>(null);
  const query = useSignal("");
  const at = useSignal(0);
  const paths = project.files.paths();
  const matches = useComputed(() => found(project, paths, query.value));
  useLayoutEffect(() => {
    element.current?.showModal();
    return () => element.current?.close();
  }, []);
  const open = (match: Match | undefined) => {
    const row = match ? project.files.byPath(match.path) : undefined;
    if (!row) return;
    onClose();
    const tab = row.id;
    project.openRow(row, { line: lineIn(query.value) });
    project.files.reveal(row.path);
    const opened = project.tabs.find(tab);
    if (opened) opened.focus.value = true;
  };
  const onKey = (event: KeyboardEvent) => {
    const count = matches.value.length;
    if (event.key === "ArrowDown") at.value = Math.min(count - 1, at.value + 1);
    else if (event.key === "ArrowUp") at.value = Math.max(0, at.value - 1);
    else if (event.key === "Enter") open(matches.value[at.value]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog
      ref={element}
      class="finder-dialog"
      aria-label="Go to file"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === element.current && onClose()}
    >
      <div class="finder-frame">
        <input
          class="input"
          role="combobox"
          aria-label="File"
          aria-expanded="true"
          aria-controls="found"
          aria-activedescendant={`found-${at.value}`}
          placeholder="Letters of the path, and :12 for a line"
          spellcheck={false}
          autocomplete="off"
          value={query}
          onInput={(event) => {
            query.value = event.currentTarget.value;
            at.value = 0;
          }}
          onKeyDown={onKey}
        />
        <div id="found" class="found" role="listbox" aria-label="Files">
          {matches.value.map((match, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field above hears the keys
            // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus
            <div
              key={match.path}
              id={`found-${index}`}
              role="option"
              aria-selected={index === at.value}
              aria-label={match.path}
              ref={(item) => {
                if (index === at.value) item?.scrollIntoView({ block: "nearest" });
              }}
              onClick={() => open(match)}
            >
              <span class="found-name">
                {marked(match, folderOf(match.path).length === 0 ? 0 : match.path.length - baseName(match.path).length)}
              </span>
              <span class="found-folder">{folderOf(match.path)}</span>
            </div>
          ))}
        </div>
        {matches.value.length === 0 && <p class="finder-empty">No file matches.</p>}
      </div>
    </dialog>
  );
}

/** Without letters: the open files first, the one that was shown before at the top. */
function found(project: OpenProject, paths: readonly string[], query: string): Match[] {
  const letters = query.replace(/:\d*$/, "").trim();
  if (letters !== "") return search(paths, letters, MOST);
  const open = project.tabs.list.value.map((tab) => tab.row.value.path);
  const shown = project.tabs.current?.row.value.path;
  const first = open.filter((path) => path !== shown).reverse();
  const rest = paths.filter((path) => !open.includes(path)).slice(0, MOST);
  return [...first, ...rest].slice(0, MOST).map((path) => ({ path, score: 0, at: [] }));
}

function lineIn(query: string): number | null {
  const line = /:(\d+)$/.exec(query)?.[1];
  return line ? Number(line) : null;
}

function marked(match: Match, from: number) {
  const at = new Set(match.at);
  return [...match.path.slice(from)].map((letter, index) =>
    at.has(from + index) ? <b key={`${index}`}>{letter}</b> : letter,
  );
}
