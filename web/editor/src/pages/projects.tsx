/** All projects: open one, make one, bring one in. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messageOf } from "../api/http.ts";
import { createProject, deleteProject, listProjects, renameProject } from "../api/projects.ts";
import type { Project } from "../api/types.ts";
import { ago, counted, timeOf } from "../format.ts";
import { go, hrefOf } from "../navigation.ts";
import { canManage } from "../session.ts";
import { Button, IconButton, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { ConnectionBanner, Message, TopBar } from "../ui/shell.tsx";
import { tell } from "../ui/toasts.tsx";
import { type Dropped, droppedFiles } from "./dropped.ts";
import { ImportDialog } from "./import.tsx";
import { DeleteDialog, NameDialog } from "./naming.tsx";

type Asking =
  | { what: "new" }
  | { what: "import"; dropped: Dropped | null }
  | { what: "rename"; project: string }
  | { what: "delete"; project: string };

export const openProject = (project: string): void => go({ page: "project", project, path: null, line: null });

export function Projects() {
  const projects = useSignal<Project[] | null>(null);
  const error = useSignal<string | null>(null);
  const asking = useSignal<Asking | null>(null);
  const over = useSignal(false);
  const load = async () => {
    try {
      projects.value = await listProjects();
      error.value = null;
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => {
    document.title = "Quire";
    void load();
  }, []);
  const done = () => {
    asking.value = null;
    void load();
  };
  const mayMake = canManage.value;
  const drop = async (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    if (!mayMake || !event.dataTransfer) return;
    asking.value = { what: "import", dropped: await droppedFiles(event.dataTransfer) };
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a shortcut; the button Import does the same
    <div
      class={over.value ? "page dropping" : "page"}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = mayMake;
      }}
      onDragLeave={(event) => {
        if (event.target === event.currentTarget) over.value = false;
      }}
      onDrop={(event) => void drop(event)}
    >
      <TopBar>
        <span class="wordmark">Quire</span>
      </TopBar>
      <ConnectionBanner retry={() => void load()} />
      <main class="column">
        <div class="column-head">
          <h1>Projects</h1>
          {mayMake && (
            <div class="actions">
              <Button icon="upload" onClick={() => (asking.value = { what: "import", dropped: null })}>
                Import
              </Button>
              <Button kind="primary" icon="plus" onClick={() => (asking.value = { what: "new" })}>
                New project
              </Button>
            </div>
          )}
        </div>
        <List
          projects={projects.value}
          error={error.value}
          retry={() => void load()}
          ask={(what) => (asking.value = what)}
          mayMake={mayMake}
        />
      </main>
      {asking.value && <Asked asking={asking.value} close={() => (asking.value = null)} done={done} />}
    </div>
  );
}

interface ListProps {
  projects: Project[] | null;
  error: string | null;
  retry: () => void;
  ask: (what: Asking) => void;
  mayMake: boolean;
}

function List({ projects, error, retry, ask, mayMake }: ListProps) {
  if (error !== null && projects === null) {
    return (
      <Message title="The projects could not be listed" actions={<Button onClick={retry}>Try again</Button>}>
        <p>{error}</p>
      </Message>
    );
  }
  if (projects === null) return <Loading what="the projects" />;
  if (projects.length === 0) return <Empty mayMake={mayMake} ask={ask} />;
  return (
    <ul class="cards" aria-label="Projects">
      {projects.map((project) => (
        <Card key={project.name} project={project} ask={ask} />
      ))}
    </ul>
  );
}

function Card({ project, ask }: { project: Project; ask: (what: Asking) => void }) {
  const at = timeOf(project.updated_at ?? project.created_at);
  return (
    <li class="card">
      <a class="card-link" href={hrefOf({ page: "project", project: project.name, path: null, line: null })}>
        <span class="card-name">{project.name}</span>
        <span class="card-facts">
          {project.files !== undefined && <span>{counted(project.files, "file")}</span>}
          {at !== null && <span>changed {ago(at, Date.now())}</span>}
        </span>
      </a>
      {canManage.value && (
        <span class="card-actions">
          <IconButton
            icon="rename"
            label={`Rename ${project.name}`}
            onClick={() => ask({ what: "rename", project: project.name })}
          />
          <IconButton
            icon="trash"
            label={`Delete ${project.name}`}
            onClick={() => ask({ what: "delete", project: project.name })}
          />
        </span>
      )}
    </li>
  );
}

function Empty({ mayMake, ask }: { mayMake: boolean; ask: (what: Asking) => void }) {
  const busy = useSignal(false);
  if (!mayMake) {
    return (
      <Message icon="folder" title="No projects yet">
        <p>Ask whoever runs this server for an invitation to one.</p>
      </Message>
    );
  }
  const example = async () => {
    busy.value = true;
    const made = await tell("Could not make the example", () => createProject("example", true));
    busy.value = false;
    if (made) openProject("example");
  };
  return (
    <section class="empty" aria-label="No projects yet">
      <h2>Nothing here yet. Three ways to begin:</h2>
      <div class="ways">
        <button type="button" class="way" onClick={() => ask({ what: "import", dropped: null })}>
          <Icon name="git" size={22} />
          <strong>Bring one in</strong>
          <span>
            A git repository by its address, an archive, or a folder of this computer. You may drop it on this page.
          </span>
        </button>
        <button type="button" class="way" onClick={() => void example()} disabled={busy.value}>
          <Icon name="eye" size={22} />
          <strong>Look at an example</strong>
          <span>A small project to try things on: open a file in two windows and type in both.</span>
        </button>
        <button type="button" class="way" onClick={() => ask({ what: "new" })}>
          <Icon name="plus" size={22} />
          <strong>Start empty</strong>
          <span>A project without files. It is a git repository from its first commit on.</span>
        </button>
      </div>
    </section>
  );
}

function Asked({ asking, close, done }: { asking: Asking; close: () => void; done: () => void }) {
  switch (asking.what) {
    case "new":
      return (
        <NameDialog
          title="New project"
          verb="Create project"
          onClose={close}
          save={async (name, example) => {
            await createProject(name, example);
            openProject(name);
          }}
          offerExample
        />
      );
    case "import":
      return <ImportDialog dropped={asking.dropped} onClose={done} />;
    case "rename":
      return (
        <NameDialog
          title={`Rename ${asking.project}`}
          verb="Rename project"
          name={asking.project}
          onClose={close}
          save={async (name) => {
            await renameProject(asking.project, name);
            done();
          }}
        />
      );
    case "delete":
      return (
        <DeleteDialog
          project={asking.project}
          onClose={close}
          remove={async () => {
            await deleteProject(asking.project);
            done();
          }}
        />
      );
  }
}
