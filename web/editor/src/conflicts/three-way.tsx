/**
 * Three texts and the one that they make: every hunk with base, ours and theirs beside each other, and the merged text below or beside,
 * in which anything can be edited by hand. What others type meanwhile is merged in; what they change in a hunk has to be decided again.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { ConflictInFull } from "../api/types.ts";
import { counted } from "../format.ts";
import { canWrite } from "../session.ts";
import { Button, copyText } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { toast } from "../ui/toasts.tsx";
import { type Acts, HunkCard, neighbours, SIDES } from "./hunk-card.tsx";
import { useKeys } from "./keys.ts";
import type { MergedPane } from "./merged-pane.ts";
import { choose, chooseAll, hunksOf, type Side, spans, textOf, typed, undecided } from "./resolution.ts";
import { useMerged } from "./use-merged.ts";
import type { Decide } from "./view.tsx";

interface ThreeWayProps {
  conflict: ConflictInFull;
  settle: Decide;
  busy: boolean;
  /** Who typed in the file last, besides us; "" when nobody did. */
  typist: string;
}

export function ThreeWay({ conflict, settle, busy, typist }: ThreeWayProps) {
  const made = useMerged(conflict, typist);
  const { resolution, active, notice, stuck } = made;
  const now = resolution.value;
  const hunks = hunksOf(now);
  const left = undecided(now);
  const said = useSignal("");
  const holder = useRef<HTMLDivElement>(null);
  const pane = useRef<MergedPane | null>(null);
  const sections = useRef<(HTMLElement | null)[]>([]);
  const mayWrite = canWrite.value;

  useEffect(() => {
    let gone = false;
    import("./merged-pane.ts").then(
      ({ openMergedPane }) => {
        if (gone || holder.current === null) return;
        pane.current = openMergedPane({
          parent: holder.current,
          path: conflict.path,
          resolution: resolution.peek(),
          readOnly: !mayWrite,
          onTyped: (from, to, insert) => {
            resolution.value = typed(resolution.peek(), from, to, insert);
            return resolution.peek();
          },
          onEnter: (number) => {
            active.value = number;
          },
        });
        pane.current.show(resolution.peek(), active.peek());
      },
      () => {
        notice.value = "The merged text could not be shown; reload the page.";
      },
    );
    return () => {
      gone = true;
      pane.current?.close();
      pane.current = null;
    };
  }, []);
  useEffect(() => {
    // Not what was rendered: what was typed since is in the pane already.
    pane.current?.show(resolution.peek(), active.peek());
  }, [now, active.value]);

  const take = (number: number, side: Side) => {
    resolution.value = choose(resolution.peek(), number, side);
    active.value = number;
    pane.current?.reveal(number);
    const rest = undecided(resolution.peek());
    said.value = `Hunk ${number + 1}: ${side}. ${rest === 0 ? "All are decided." : `${counted(rest, "hunk")} left.`}`;
  };
  const visit = (number: number) => {
    const count = hunksOf(resolution.peek()).length;
    if (count === 0) return;
    const wanted = ((number % count) + count) % count;
    active.value = wanted;
    pane.current?.reveal(wanted);
    sections.current[wanted]?.focus();
    sections.current[wanted]?.scrollIntoView({ block: "nearest" });
  };
  const finish = async () => {
    const { ours } = conflict;
    if (ours === null || undecided(resolution.peek()) > 0) return;
    await settle({ text: textOf(resolution.peek()), sha: made.madeOf.value });
  };
  useKeys((key) => {
    const at = active.peek() ?? 0;
    const side = SIDES.find((each) => each.key === key)?.side;
    if (key === "n") visit(active.peek() === null ? 0 : at + 1);
    else if (key === "p") visit(at - 1);
    else if (!mayWrite) return false;
    else if (side && hunks.length > 0) take(at, side);
    else if (key === "e" && hunks.length > 0) pane.current?.edit(at);
    else if (key === "Ctrl+Enter") void finish();
    else return false;
    return true;
  });

  const places = spans(now);
  const placed = useMemo(() => neighbours(now), [now]);
  const acts = useRef<Acts>({ take, visit, hand: () => undefined, place: () => undefined });
  acts.current = {
    take,
    visit: (number) => {
      active.value = number;
      pane.current?.reveal(number);
    },
    hand: (number) => {
      active.value = number;
      pane.current?.edit(number);
    },
    place: (number, element) => {
      sections.current[number] = element;
    },
  };
  return (
    <div class="three-way">
      <div class="resolve-bar">
        <span class="resolve-count" role="status">
          {hunks.length === 0
            ? "Nothing is in conflict any more."
            : left === 0
              ? `All ${counted(hunks.length, "hunk")} decided.`
              : `${hunks.length - left} of ${counted(hunks.length, "hunk")} decided.`}
        </span>
        <Button kind="quiet" title="Previous hunk (p)" onClick={() => visit((active.peek() ?? 0) - 1)}>
          Previous
        </Button>
        <Button
          kind="quiet"
          title="Next hunk (n)"
          onClick={() => visit(active.peek() === null ? 0 : (active.peek() ?? 0) + 1)}
        >
          Next
        </Button>
        <span class="spring" />
        {mayWrite && (
          <>
            {SIDES.map(({ side, label }) => (
              <Button key={side} onClick={() => (resolution.value = chooseAll(resolution.peek(), side))}>
                {label} everywhere
              </Button>
            ))}
            <Button
              kind="primary"
              icon="check"
              busy={busy}
              disabled={left > 0 || stuck.value}
              title={left > 0 ? "Every hunk has to be decided first" : "Ctrl+Enter"}
              onClick={() => void finish()}
            >
              Resolve
            </Button>
          </>
        )}
      </div>
      {notice.value !== "" && (
        <div class="notice" role="alert">
          <Icon name="warn" />
          <span>{notice.value}</span>
          <span class="notice-actions">
            {stuck.value ? (
              <>
                <Button
                  icon="copy"
                  onClick={() => void copyText(textOf(resolution.peek())).then(() => toast("Your text was copied."))}
                >
                  Copy mine
                </Button>
                <Button onClick={made.beginAgain}>Begin again with what is there</Button>
              </>
            ) : (
              <Button kind="quiet" onClick={() => (notice.value = "")}>
                Understood
              </Button>
            )}
          </span>
        </div>
      )}
      <p class="offscreen" role="status">
        {said.value}
      </p>
      <div class="three-way-body">
        <div class="hunks">
          {placed.map(({ piece, before, after }, number) => (
            <HunkCard
              key={number}
              number={number}
              count={placed.length}
              piece={piece}
              before={before}
              after={after}
              active={active.value === number}
              mayWrite={mayWrite}
              line={places[number]?.line ?? 1}
              acts={acts}
            />
          ))}
          <p class="hunk-keys quiet">
            <kbd>n</kbd> next <kbd>p</kbd> previous <kbd>1</kbd> ours <kbd>2</kbd> theirs <kbd>3</kbd> both <kbd>e</kbd>{" "}
            edit by hand <kbd>Ctrl+Enter</kbd> resolve
          </p>
        </div>
        <section class="merged" aria-label="The text that it becomes">
          <h2>
            Result <span class="quiet">{mayWrite ? "to be edited by hand, wherever you like" : ""}</span>
          </h2>
          <div class="merged-text" ref={holder} />
        </section>
      </div>
    </div>
  );
}
