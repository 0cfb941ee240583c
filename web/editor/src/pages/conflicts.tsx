/** The conflicts of a project: those that are open, one of them to be decided, those that have ended, and what becomes of them by itself. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messageOf } from "../api/http.ts";
import { fetchProject } from "../api/projects.ts";
import type { ProjectEvent } from "../api/types.ts";
import { ConflictList } from "../conflicts/list.tsx";
import { Rules } from "../conflicts/rules.tsx";
import { ConflictView } from "../conflicts/view.tsx";
import { go } from "../navigation.ts";
import { Feed } from "../project/feed.ts";
import { Button } from "../ui/controls.tsx";
import { Message } from "../ui/shell.tsx";
import { ProjectFrame } from "./frame.tsx";

export function ConflictsPage({ project, id }: { project: string; id: string | null }) {
  const event = useSignal<ProjectEvent | null>(null);
  const error = useSignal<string | null>(null);
  const again = useSignal(0);
  useEffect(() => {
    let feed: Feed | null = null;
    let gone = false;
    error.value = null;
    const heard = (each: ProjectEvent) => {
      const to = each.kind === "renamed" && each.document === null ? (each.data?.to ?? each.data?.name) : null;
      if (typeof to === "string") go({ page: "conflicts", project: to, id }, "replace");
      else event.value = each;
    };
    fetchProject(project).then(
      (found) => {
        if (!gone) feed = new Feed(project, found.events ?? 0, heard, async () => void (await fetchProject(project)));
      },
      (thrown: unknown) => {
        error.value = messageOf(thrown);
      },
    );
    return () => {
      gone = true;
      feed?.stop();
    };
  }, [project, again.value]);
  const retry = () => {
    again.value += 1;
  };
  return (
    <ProjectFrame project={project} title="Conflicts" wide={id !== null} retry={retry}>
      {error.value !== null ? (
        <Message title="The conflicts could not be read" actions={<Button onClick={retry}>Try again</Button>}>
          <p>{error.value}</p>
        </Message>
      ) : id !== null ? (
        <ConflictView key={id} project={project} id={id} event={event} again={again.value} />
      ) : (
        <>
          <ConflictList project={project} event={event} again={again.value} />
          <Rules project={project} event={event} />
        </>
      )}
    </ProjectFrame>
  );
}
