/** The panel of files: its buttons, the filter, the tree, and where files of this computer are dropped. */

import { type Signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { fileUrl } from "../api/files.ts";
import { counted } from "../format.ts";
import { droppedFiles, pickedFiles } from "../pages/dropped.ts";
import { canWrite } from "../session.ts";
import { IconButton, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { ask } from "./ask.tsx";
import type { OpenProject } from "./project.ts";
import type { View } from "./shortcuts.ts";
import { type Naming, TreeView } from "./tree-view.tsx";

export function FilesPanel({ project, view }: { project: OpenProject; view: View }) {
  const { files } = project;
  const naming = useSignal<Naming | null>(null);
  const over = useSignal(false);
  const picker = useRef<HTMLInputElement>(null);
  const upload = async (picked: { path: string; file: Blob }[], folder: string) => {
    const placed = picked.map(({ path, file }) => ({ path: folder === "" ? path : `${folder}/${path}`, file }));
    await files.upload(placed, askToReplace);
  };
  const drop = async (event: DragEvent) => {
    over.value = false;
    if (!event.dataTransfer?.types.includes("Files") || !canWrite.value) return;
    event.preventDefault();
    const folder = folderUnder(event.target) ?? "";
    const dropped = await droppedFiles(event.dataTransfer);
    const single = event.dataTransfer.items.length === 1 && dropped.files.length > 1;
    await upload(
      single ? dropped.files.map((each) => ({ ...each, path: `${dropped.name}/${each.path}` })) : dropped.files,
      folder,
    );
  };
  return (
    <section
      class={over.value ? "files dropping" : "files"}
      aria-label="Files"
      onDragOver={(event) => {
        if (!event.dataTransfer?.types.includes("Files") || !canWrite.value) return;
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => void drop(event)}
    >
      <FilesBar project={project} naming={naming} pick={() => picker.current?.click()} />
      <input
        ref={picker}
        type="file"
        multiple
        class="offscreen"
        tabIndex={-1}
        aria-label="Files to upload"
        onChange={(event) => {
          const { currentTarget } = event;
          if (!currentTarget.files) return;
          void upload(pickedFiles(currentTarget.files).files, files.here()).then(() => {
            currentTarget.value = "";
          });
        }}
      />
      <Filter filter={files.filter} count={files.count.value} />
      {files.loaded.value ? <TreeView project={project} naming={naming} view={view} /> : <Loading what="the files" />}
    </section>
  );
}

function FilesBar({
  project,
  naming,
  pick,
}: {
  project: OpenProject;
  naming: Signal<Naming | null>;
  pick: () => void;
}) {
  const { files } = project;
  const chosen = files.chosen.value;
  const file = chosen === null ? undefined : files.byPath(chosen);
  const writable = canWrite.value;
  const begin = (what: "file" | "folder") => {
    const folder = files.here();
    if (folder !== "") files.toggle(folder, true);
    files.filter.value = "";
    naming.value = { what, folder };
  };
  return (
    <div class="files-bar" role="toolbar" aria-label="Files">
      {writable && (
        <>
          <IconButton icon="newFile" label="New file" onClick={() => begin("file")} />
          <IconButton icon="newFolder" label="New folder" onClick={() => begin("folder")} />
          <IconButton icon="upload" label="Upload" onClick={pick} />
          <IconButton
            icon="rename"
            label="Rename"
            keys="F2"
            disabled={chosen === null}
            onClick={() => {
              if (chosen !== null) naming.value = { what: "rename", path: chosen };
            }}
          />
          <IconButton
            icon="trash"
            label="Delete"
            keys="Del"
            disabled={chosen === null}
            onClick={() => chosen !== null && void files.remove(chosen)}
          />
        </>
      )}
      {file && file.kind !== "submodule" && (
        <a
          class="icon-button"
          aria-label="Download"
          title="Download"
          href={fileUrl(project.name, file.path)}
          download={file.path.split("/").at(-1)}
        >
          <Icon name="download" />
        </a>
      )}
      <span class="spring" />
      <IconButton icon="collapse" label="Fold all folders" onClick={() => files.collapse()} />
    </div>
  );
}

function Filter({ filter, count }: { filter: Signal<string>; count: number }) {
  return (
    <div class="filter">
      <Icon name="search" />
      <input
        class="input"
        type="search"
        placeholder={`Filter ${counted(count, "file")}`}
        aria-label="Filter files"
        spellcheck={false}
        value={filter}
        onInput={(event) => {
          filter.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") filter.value = "";
          if (event.key === "ArrowDown" || event.key === "Enter") {
            event.preventDefault();
            document.querySelector<HTMLElement>('[role="tree"]')?.focus();
          }
        }}
      />
    </div>
  );
}

function askToReplace(paths: string[]): Promise<boolean> {
  const some = paths.slice(0, 5).join(", ") + (paths.length > 5 ? ` and ${paths.length - 5} more` : "");
  return ask({
    title: paths.length === 1 ? "Replace the file?" : `Replace ${paths.length} files?`,
    text: `There already: ${some}. Their history is kept; what is there now can be found in it.`,
    yes: "Replace",
    no: "Leave them",
  });
}

/** The folder on whose row, or on the row of whose file, something is dropped. */
export function folderUnder(target: EventTarget | null): string | null {
  const row = target instanceof Element ? target.closest<HTMLElement>("[data-folder]") : null;
  return row?.dataset.folder ?? null;
}
