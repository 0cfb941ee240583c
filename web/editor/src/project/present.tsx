/** Who is in the shown file: one avatar each, ourselves left out. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Present as Person } from "../live/presence.ts";
import { presentIn } from "../live/presence.ts";
import { Avatar } from "../ui/controls.tsx";
import type { OpenProject } from "./project.ts";

const MOST = 5;

export function Present({ project }: { project: OpenProject }) {
  const people = useSignal<Person[]>([]);
  const live = project.tabs.current?.live.value ?? null;
  const generation = live?.generation.value;
  useEffect(() => {
    if (!live) {
      people.value = [];
      return undefined;
    }
    const { awareness } = live;
    const look = () => {
      const others = presentIn(awareness).filter((each) => !each.self);
      if (JSON.stringify(others) !== JSON.stringify(people.peek())) people.value = others;
    };
    look();
    awareness.on("change", look);
    return () => awareness.off("change", look);
  }, [live, generation]);
  const others = people.value;
  if (others.length === 0) return null;
  return (
    <div class="present" role="group" aria-label="Here now">
      {others.slice(0, MOST).map((each) => (
        <Avatar key={each.id} actor={each} note={each.kind === "agent" ? "agent" : "in this file"} />
      ))}
      {others.length > MOST && (
        <span
          class="avatar more"
          title={others
            .slice(MOST)
            .map((each) => each.name)
            .join(", ")}
        >
          +{others.length - MOST}
        </span>
      )}
    </div>
  );
}
