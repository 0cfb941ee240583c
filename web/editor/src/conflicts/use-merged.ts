/** The state behind the view of a conflict: what was decided and typed, kept on whatever the file is by now. */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { ConflictInFull } from "../api/types.ts";
import { again, begin, type Resolution } from "./resolution.ts";

/** What was decided, brought onto whatever the file and the conflict are by now. */
export function useMerged(conflict: ConflictInFull, typist: string) {
  const merged = conflict.merged ?? [];
  const resolution = useSignal<Resolution>(useMemo(() => begin(merged, conflict.hunks), []));
  const beginning = useSignal<Resolution>(resolution.peek());
  const madeOf = useSignal(conflict.ours?.sha ?? "");
  const active = useSignal<number | null>(null);
  const notice = useSignal("");
  const stuck = useSignal(false);
  const beginAgain = () => {
    resolution.value = begin(merged, conflict.hunks);
    beginning.value = resolution.peek();
    madeOf.value = conflict.ours?.sha ?? "";
    active.value = null;
    notice.value = "";
    stuck.value = false;
  };
  useEffect(() => {
    const sha = conflict.ours?.sha ?? "";
    if (sha === madeOf.peek()) return;
    const who = typist || "Somebody";
    const newer = again(resolution.peek(), beginning.peek(), merged, conflict.hunks);
    if (newer === null) {
      stuck.value = true;
      notice.value = `${who} changed lines of this file that you have edited here. Nothing is overwritten: your text is kept below until you begin again.`;
      return;
    }
    stuck.value = false;
    resolution.value = newer.resolution;
    beginning.value = begin(merged, conflict.hunks);
    madeOf.value = sha;
    const [first] = newer.reset;
    if (first === undefined) {
      notice.value = `${who} changed this file meanwhile; that is merged into what you see.`;
      return;
    }
    active.value = first;
    notice.value = `${who} changed lines in conflict meanwhile: hunk ${newer.reset.map((each) => each + 1).join(", ")} has to be decided again.`;
  }, [conflict]);
  return { resolution, madeOf, active, notice, stuck, beginAgain };
}
