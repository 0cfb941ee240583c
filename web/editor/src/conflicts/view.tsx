/** One conflict: what happened, and the ways out of it. It follows what others type and decide meanwhile. */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Decision, decide, fetchConflict } from "../api/conflicts.ts";
import { ApiError, messageOf } from "../api/http.ts";
import { type ConflictInFull, nameOf, type ProjectEvent } from "../api/types.ts";
import { ago, timeOf } from "../format.ts";
import { go, hrefOf } from "../navigation.ts";
import { AskHost } from "../project/ask.tsx";
import { me } from "../session.ts";
import { Button, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";
import { toast, toastError } from "../ui/toasts.tsx";
import { BringBack } from "./list.tsx";
import { ThreeWay } from "./three-way.tsx";
import { Sides, Whole } from "./whole.tsx";
import { howItEnded, pushedBy, SIDES, whatHappened } from "./words.ts";

interface ViewProps {
  project: string;
  id: string;
  event: ReadonlySignal<ProjectEvent | null>;
  again: number;
}

/** Decides; false when it has to be looked at again first, which is said. */
export type Decide = (decision: Decision) => Promise<boolean>;

export function ConflictView({ project, id, event, again }: ViewProps) {
  const conflict = useSignal<ConflictInFull | null>(null);
  const error = useSignal<ApiError | null>(null);
  const busy = useSignal(false);
  /** Who typed in the file since it was read. */
  const typist = useSignal("");
  const asked = useRef(0);
  const load = async () => {
    asked.current += 1;
    const number = asked.current;
    try {
      const found = await fetchConflict(project, id);
      if (number === asked.current) conflict.value = found;
      error.value = null;
    } catch (thrown) {
      error.value = thrown instanceof ApiError ? thrown : new ApiError(0, "error", messageOf(thrown));
    }
  };
  useEffect(() => void load(), [project, id, again]);
  const heard = event.value;
  useEffect(() => {
    const now = conflict.peek();
    if (heard === null || now === null) return;
    const about = heard.data?.id === id || (now.document !== null && heard.document === now.document);
    if (!about || heard.kind === "conflict") return;
    const other = heard.actors.find((each) => typeof each === "string" || each.id !== me.peek()?.actor.id);
    if (heard.kind === "changed" && other) typist.value = nameOf(other);
    void load();
  }, [heard]);
  const found = conflict.value;
  useEffect(() => {
    document.title = `${found?.path ?? "Conflict"} — ${project}`;
  }, [found?.path]);
  const settle: Decide = async (decision) => {
    busy.value = true;
    try {
      conflict.value = await decide(project, id, decision);
      toast(`${conflict.value.path} is resolved, and goes out with the next commit.`);
      return true;
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 409) {
        await load();
        if (thrown.code !== "conflict_resolved")
          toast("Somebody changed the same lines since. Look at what is there now, and decide again.", null, "error");
        return false;
      }
      toastError(thrown, "Could not resolve it");
      return false;
    } finally {
      busy.value = false;
    }
  };
  const list = hrefOf({ page: "conflicts", project, id: null });
  if (found === null) {
    if (error.value === null) return <Loading what="the conflict" />;
    return (
      <Message
        title={error.value.status === 404 ? "There is no such conflict" : "The conflict could not be read"}
        actions={
          <>
            <a class="button primary" href={list}>
              All conflicts
            </a>
            <Button onClick={() => void load()}>Try again</Button>
          </>
        }
      >
        <p>{error.value.message}</p>
      </Message>
    );
  }
  const path = found.state === "open" ? (found.ours?.path ?? found.path) : found.path;
  return (
    <article class="conflict" aria-label={`Conflict in ${path}`}>
      <header class="conflict-head">
        <p>
          <a href={list}>Conflicts</a>
        </p>
        <h1>{path}</h1>
        <p>
          {whatHappened(found)}{" "}
          <span class="quiet">
            In conflict with {pushedBy(found)}, {ago(timeOf(found.at), Date.now())}.
          </span>{" "}
          <a href={hrefOf({ page: "project", project, path, line: null })}>Open the file</a>
        </p>
        {found.state === "open" && found.detail && <p class="conflict-detail">{found.detail}</p>}
      </header>
      {found.state !== "open" ? (
        <Over project={project} conflict={found} load={load} />
      ) : found.merged ? (
        <ThreeWay conflict={found} settle={settle} busy={busy.value} typist={typist.value} />
      ) : (
        <Whole project={project} conflict={found} settle={settle} busy={busy.value} />
      )}
      <AskHost />
    </article>
  );
}

function Over({ project, conflict, load }: { project: string; conflict: ConflictInFull; load: () => Promise<void> }) {
  return (
    <section class="conflict-over" aria-label="How it ended">
      <p role="status">
        <Icon name="check" /> {howItEnded(conflict)}, {ago(timeOf(conflict.ended_at ?? conflict.at), Date.now())}.
        {conflict.restored && ` Since then ${SIDES[conflict.restored]} was brought back.`}
      </p>
      {conflict.aside?.url && (
        <p>
          <a href={conflict.aside.url}>The pull request with ours</a>
        </p>
      )}
      <p class="actions">
        <Button kind="primary" onClick={() => go({ page: "conflicts", project, id: null })}>
          All conflicts
        </Button>
        <BringBack project={project} conflict={conflict} done={load} />
      </p>
      <Sides project={project} conflict={conflict} />
    </section>
  );
}
