/** All conflicts of a project: what waits for somebody, and what has ended, with the way back for what lost. */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchConflicts, restoreSide } from "../api/conflicts.ts";
import { ApiError, messageOf } from "../api/http.ts";
import type { Conflict, ProjectEvent } from "../api/types.ts";
import { ago, counted, timeOf } from "../format.ts";
import { go, hrefOf } from "../navigation.ts";
import { AskHost, ask } from "../project/ask.tsx";
import { canWrite } from "../session.ts";
import { Button, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";
import { toast, toastError } from "../ui/toasts.tsx";
import { canComeBack, howItEnded, pushedBy, SIDES, whatHappened } from "./words.ts";

interface ListProps {
  project: string;
  event: ReadonlySignal<ProjectEvent | null>;
  again: number;
}

export function ConflictList({ project, event, again }: ListProps) {
  const open = useSignal<Conflict[] | null>(null);
  const ended = useSignal<Conflict[]>([]);
  const error = useSignal<string | null>(null);
  const load = async () => {
    try {
      [open.value, ended.value] = await Promise.all([fetchConflicts(project), fetchConflicts(project, "ended")]);
      error.value = null;
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => {
    document.title = `Conflicts — ${project}`;
    void load();
  }, [project, again]);
  const heard = event.value;
  useEffect(() => {
    if (heard && ["conflict", "resolved"].includes(heard.kind)) void load();
  }, [heard]);
  if (error.value !== null && open.value === null) {
    return (
      <Message title="The conflicts could not be read" actions={<Button onClick={() => void load()}>Try again</Button>}>
        <p>{error.value}</p>
      </Message>
    );
  }
  if (open.value === null) return <Loading what="the conflicts" />;
  return (
    <>
      {open.value.length === 0 ? (
        <p class="conflicts-none" role="status">
          <Icon name="check" /> No conflicts: what is written here and what is in git fit together.
        </p>
      ) : (
        <>
          <p class="conflicts-about">
            {counted(open.value.length, "file")} {open.value.length === 1 ? "was" : "were"} changed here and in git in
            ways that only a person can bring together. {open.value.length === 1 ? "It stays" : "They stay"} editable,
            and {open.value.length === 1 ? "is" : "are"} not committed before that; everything else goes on.
          </p>
          <ul class="conflicts" aria-label="Open conflicts">
            {open.value.map((each) => (
              <Open key={each.id} project={project} conflict={each} />
            ))}
          </ul>
        </>
      )}
      {ended.value.length > 0 && (
        <details class="conflicts-ended">
          <summary>
            <h2>Ended</h2>
            <span class="quiet">{counted(ended.value.length, "conflict")}</span>
          </summary>
          <ul class="conflicts" aria-label="Conflicts that have ended">
            {ended.value.map((each) => (
              <Ended key={each.id} project={project} conflict={each} load={load} />
            ))}
          </ul>
        </details>
      )}
      <AskHost />
    </>
  );
}

function Open({ project, conflict }: { project: string; conflict: Conflict }) {
  return (
    <li>
      <Icon name="warn" />
      <div>
        <a class="conflict-path" href={hrefOf({ page: "conflicts", project, id: conflict.id })}>
          {conflict.path}
        </a>
        <p>{whatHappened(conflict)}</p>
        <p class="quiet">
          In conflict with {pushedBy(conflict)}, {ago(timeOf(conflict.at), Date.now())}.
        </p>
        {conflict.detail && <p class="conflict-detail">{conflict.detail}</p>}
      </div>
      <a class="button" href={hrefOf({ page: "conflicts", project, id: conflict.id })}>
        {canWrite.value ? "Resolve" : "Look"}
        <span class="offscreen"> {conflict.path}</span>
      </a>
    </li>
  );
}

function Ended({ project, conflict, load }: { project: string; conflict: Conflict; load: () => Promise<void> }) {
  return (
    <li class="ended">
      <Icon name="check" />
      <div>
        <a class="conflict-path" href={hrefOf({ page: "conflicts", project, id: conflict.id })}>
          {conflict.path}
        </a>
        <p class="quiet">
          {howItEnded(conflict)}, {ago(timeOf(conflict.ended_at ?? conflict.at), Date.now())}.
          {conflict.restored && ` ${capital(SIDES[conflict.restored])} was brought back since.`}
          {conflict.aside?.url && (
            <>
              {" "}
              <a href={conflict.aside.url}>Pull request</a>
            </>
          )}
        </p>
      </div>
      <BringBack project={project} conflict={conflict} done={load} />
    </li>
  );
}

/** Brings a side back; where that would overlap with what was written since, it asks first. */
export function BringBack({
  project,
  conflict,
  done,
}: {
  project: string;
  conflict: Conflict;
  done: () => Promise<void>;
}) {
  const busy = useSignal(false);
  const sides = canWrite.value ? canComeBack(conflict) : [];
  const restore = async (side: "ours" | "theirs" | "base") => {
    busy.value = true;
    try {
      const path = await broughtBack(project, conflict, side);
      if (path !== null) {
        toast(`${capital(SIDES[side])} is back in ${path}.`, {
          label: "Open",
          run: () => go({ page: "project", project, path, line: null }),
        });
        await done();
      }
    } catch (error) {
      toastError(error, `Could not bring back ${SIDES[side]}`);
    } finally {
      busy.value = false;
    }
  };
  return (
    <span class="bring-back">
      {sides.map((side) => (
        <Button key={side} icon="undo" busy={busy.value} onClick={() => void restore(side)}>
          Bring back {SIDES[side]}
          <span class="offscreen"> of {conflict.path}</span>
        </Button>
      ))}
    </span>
  );
}

async function broughtBack(
  project: string,
  conflict: Conflict,
  side: "ours" | "theirs" | "base",
): Promise<string | null> {
  try {
    return (await restoreSide(project, conflict.id, side, false)).path;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "overlap") throw error;
    const whole = await ask({
      title: "Bring the whole file back?",
      text: `The lines that were in conflict in ${conflict.path} were changed again since. The whole file can be as it was on that side; what was written since stays in its history.`,
      yes: "Bring the whole file back",
      no: "Leave it",
      danger: true,
    });
    return whole ? (await restoreSide(project, conflict.id, side, true)).path : null;
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
