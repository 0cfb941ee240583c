/** Who is here, one avatar each, ourselves left out: in the shown file, in the other open ones, or writing elsewhere. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Here, peopleIn, whoIsHere } from "../live/presence.ts";
import { me } from "../session.ts";
import { Avatar } from "../ui/controls.tsx";
import type { OpenProject } from "./project.ts";
import type { Tab } from "./tabs.ts";

const MOST = 5;
/** How often those who have not written for a while are looked for. */
const FADE_MS = 15_000;

export function Present({ project }: { project: OpenProject }) {
  const others = usePresent(project);
  if (others.length === 0) return null;
  const rest = others.slice(MOST);
  return (
    <div class="present" role="group" aria-label="Here now">
      {others.slice(0, MOST).map((each) => (
        <button
          key={each.id}
          type="button"
          class={each.live ? "present-one" : "present-one lately"}
          aria-label={`Go to ${each.name} in ${each.path}`}
          onClick={() => goTo(project, each)}
        >
          <Avatar actor={each} note={noteOf(each)} />
        </button>
      ))}
      {rest.length > 0 && (
        <span class="avatar more" title={rest.map((each) => `${each.name} (${noteOf(each)})`).join(", ")}>
          +{rest.length}
        </span>
      )}
    </div>
  );
}

function noteOf(each: Here): string {
  const where = each.live ? `in ${each.path}` : `wrote in ${each.path} just now`;
  return each.kind === "agent" ? `agent, ${where}` : where;
}

/** To the file that somebody is in, and to his cursor where it is known. */
function goTo(project: OpenProject, each: Here): void {
  const row = project.files.byPath(each.path);
  if (!row) return;
  project.openRow(row, { preview: true });
  project.tabs.find(row.id)?.editor.peek()?.goToPeer(each.id);
}

function usePresent(project: OpenProject): Here[] {
  const here = useSignal<Here[]>([]);
  const active = project.tabs.active.value;
  const tabs = project.tabs.list.value.filter((tab) => tab.live.value !== null);
  // The shown file says more of somebody than another one.
  const ordered = [...tabs.filter((tab) => tab.id === active), ...tabs.filter((tab) => tab.id !== active)];
  const wrote = project.wrote.value;
  const known = ordered.map((tab) => `${tab.id} ${tab.row.value.path} ${tab.live.value?.generation.value}`).join("\n");
  useEffect(() => {
    const look = () => {
      const found = whoIsHere(ordered.map(inTab), wrote.values(), me.peek()?.actor.id ?? "", Date.now());
      if (JSON.stringify(found) !== JSON.stringify(here.peek())) here.value = found;
    };
    look();
    const heard = ordered.flatMap((tab) => tab.live.peek()?.awareness ?? []);
    for (const awareness of heard) awareness.on("change", look);
    const timer = setInterval(look, FADE_MS);
    return () => {
      clearInterval(timer);
      for (const awareness of heard) awareness.off("change", look);
    };
  }, [known, wrote]);
  return here.value;
}

function inTab(tab: Tab) {
  const awareness = tab.live.peek()?.awareness;
  const people = awareness ? peopleIn(awareness.getStates(), awareness.clientID) : [];
  return { path: tab.row.peek().path, people };
}
