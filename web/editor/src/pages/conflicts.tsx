/** Where git and the files here changed the same, and nobody but a person can say what should stand there. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchConflicts } from "../api/commits.ts";
import { messageOf } from "../api/http.ts";
import { fetchProject } from "../api/projects.ts";
import type { Conflict } from "../api/types.ts";
import { ago, timeOf } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { Button, Loading } from "../ui/controls.tsx";
import { Message } from "../ui/shell.tsx";
import { ProjectFrame } from "./frame.tsx";

export function ConflictsPage({ project }: { project: string }) {
  const conflicts = useSignal<Conflict[] | null>(null);
  const error = useSignal<string | null>(null);
  const load = async () => {
    error.value = null;
    try {
      // A project that is not there has no conflicts either; that is not what is to be said of it.
      await fetchProject(project);
      conflicts.value = await fetchConflicts(project);
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => {
    document.title = `Conflicts — ${project}`;
    void load();
  }, [project]);
  const found = conflicts.value;
  return (
    <ProjectFrame project={project} title="Conflicts" retry={() => void load()}>
      {error.value && (
        <Message
          title="The conflicts could not be read"
          actions={<Button onClick={() => void load()}>Try again</Button>}
        >
          <p>{error.value}</p>
        </Message>
      )}
      {!error.value && found === null && <Loading what="the conflicts" />}
      {found?.length === 0 && (
        <Message icon="check" title="No conflicts">
          <p>What is written here and what is in git fit together.</p>
        </Message>
      )}
      {found && found.length > 0 && (
        <ul class="grants" aria-label="Conflicts">
          {found.map((each) => (
            <li key={each.id}>
              <a href={hrefOf({ page: "project", project, path: each.path, line: null })}>{each.path}</a>
              <span class="quiet">
                {each.kind} · {ago(timeOf(each.at), Date.now())}
              </span>
            </li>
          ))}
        </ul>
      )}
    </ProjectFrame>
  );
}
