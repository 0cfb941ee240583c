/** Closing a tab: at once, unless something in it can no longer be saved by itself. */

import { counted } from "../format.ts";
import { abandon } from "../live/open-files.ts";
import { ask } from "./ask.tsx";
import type { OpenProject } from "./project.ts";
import type { Tab } from "./tabs.ts";

export async function closeTab(project: OpenProject, tab: Tab): Promise<void> {
  const live = tab.live.peek();
  const stuck = live?.recovered.peek() || ["gone", "replaced", "broken", "refused"].includes(live?.link.peek() ?? "");
  if (live?.unsaved.peek() && stuck) {
    const sure = await ask({
      title: "Close without saving?",
      text: `${tab.row.peek().path} has ${counted(Math.max(1, live.pending.peek()), "change")} that the server did not take. When you close it, they are lost.`,
      yes: "Close and lose them",
      no: "Keep open",
      danger: true,
    });
    if (!sure) return;
    abandon(project.name, tab.id);
  }
  project.tabs.close(tab.id);
}
