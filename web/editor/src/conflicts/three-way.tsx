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
import type { MergedPane } from "./merged-pane.ts";
import {
  again,
  begin,
  type Choice,
  choose,
  chooseAll,
  type Hunk,
  hunksOf,
  type Piece,
  type Resolution,
  type Side,
  spans,
  textOf,
  typed,
  undecided,
} from "./resolution.ts";
import type { Decide } from "./view.tsx";
import { partsOf } from "./words-apart.ts";

interface ThreeWayProps {
  conflict: ConflictInFull;
  settle: Decide;
  busy: boolean;
  /** Who typed in the file last, besides us; "" when nobody did. */
  typist: string;
}

const SIDES: readonly { side: Side; key: string; label: string }[] = [
  { side: "ours", key: "1", label: "Ours" },
  { side: "theirs", key: "2", label: "Theirs" },
  { side: "both", key: "3", label: "Both" },
];

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

/** What was decided, brought onto whatever the file and the conflict are by now. */
function useMerged(conflict: ConflictInFull, typist: string) {
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

interface Acts {
  take: (number: number, side: Side) => void;
  visit: (number: number) => void;
  hand: (number: number) => void;
  place: (number: number, element: HTMLElement | null) => void;
}

interface HunkProps {
  number: number;
  count: number;
  piece: Piece & { hunk: Hunk };
  /** What stands around it; null where nothing does, or another hunk. */
  before: Piece | null;
  after: Piece | null;
  active: boolean;
  mayWrite: boolean;
  /** Of the merged text. */
  line: number;
  acts: { readonly current: Acts };
}

const STATE: Record<Choice | "open", string> = {
  open: "not decided",
  ours: "ours",
  theirs: "theirs",
  both: "both",
  hand: "by hand",
};

/** Drawn again only when something of it changes: there may be hundreds, and one is typed in. */
function HunkCard(props: HunkProps) {
  const { number, count, piece, before, after, active, mayWrite, line, acts } = props;
  return useMemo(() => <DrawnHunk {...props} />, [number, count, piece, before, after, active, mayWrite, line, acts]);
}

function DrawnHunk({ number, count, piece, before, after, active, mayWrite, line, acts }: HunkProps) {
  const { hunk, choice } = piece;
  const state = choice ?? "open";
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keys n and p do it
    <section
      class={`hunk ${state}${active ? " active" : ""}`}
      aria-label={`Hunk ${number + 1} of ${count}, line ${line}: ${STATE[state]}`}
      aria-current={active}
      tabIndex={-1}
      ref={(element) => acts.current.place(number, element)}
      onClick={() => acts.current.visit(number)}
    >
      <header>
        <h2>
          {number + 1} <span class="quiet">line {line}</span>
        </h2>
        <span class={`hunk-state ${state}`}>{STATE[state]}</span>
        <span class="spring" />
        {mayWrite && (
          <fieldset class="choices">
            <legend class="offscreen">Hunk {number + 1}: what is to stand there</legend>
            {SIDES.map(({ side, key, label }) => (
              <label key={side}>
                <input
                  type="radio"
                  name={`hunk-${number}`}
                  checked={choice === side}
                  onChange={() => acts.current.take(number, side)}
                />
                <span>
                  {label}{" "}
                  <span class="key" aria-hidden="true">
                    {key}
                  </span>
                </span>
              </label>
            ))}
            <button
              type="button"
              class={choice === "hand" ? "by-hand chosen" : "by-hand"}
              onClick={(event) => {
                event.stopPropagation();
                acts.current.hand(number);
              }}
            >
              By hand{" "}
              <span class="key" aria-hidden="true">
                e
              </span>
            </button>
          </fieldset>
        )}
      </header>
      <Context lines={linesOf(before).slice(-CONTEXT)} />
      <div class="columns">
        <Column
          title="Ours, here"
          text={hunk.ours}
          other={hunk.base}
          line={hunk.ours_line}
          chosen={choice === "ours" || choice === "both"}
        />
        <Column title="Before" text={hunk.base} other={hunk.base} line={hunk.base_line} chosen={false} />
        <Column
          title="Theirs, pushed"
          text={hunk.theirs}
          other={hunk.base}
          line={hunk.theirs_line}
          chosen={choice === "theirs" || choice === "both"}
        />
      </div>
      <Context lines={linesOf(after).slice(0, CONTEXT)} />
    </section>
  );
}

function Column({
  title,
  text,
  other,
  line,
  chosen,
}: {
  title: string;
  text: string;
  other: string;
  line: number;
  chosen: boolean;
}) {
  const lines = useMemo(() => partsOf(text, other), [text, other]);
  return (
    <div class={chosen ? "side chosen" : "side"} role="group" aria-label={title}>
      <p class="side-title">{title}</p>
      {lines.length === 0 ? (
        <p class="side-none">no lines</p>
      ) : (
        <table>
          <tbody>
            {lines.map((parts, index) => (
              <tr key={index}>
                <td class="diff-number">{line + index}</td>
                <td class="diff-text">
                  {parts.map((part, at) => (part.differs ? <ins key={at}>{part.text}</ins> : part.text))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function Context({ lines }: { lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return <pre class="hunk-context">{lines.join("\n")}</pre>;
}

const CONTEXT = 2;

interface Placed {
  piece: Piece & { hunk: Hunk };
  before: Piece | null;
  after: Piece | null;
}

/** Every hunk with what stands around it in the merged text, as far as that is clean. */
function neighbours(resolution: Resolution): Placed[] {
  const clean = (piece: Piece | undefined): Piece | null => (piece === undefined || piece.hunk ? null : piece);
  return resolution.flatMap((piece, index) =>
    hasHunk(piece) ? [{ piece, before: clean(resolution[index - 1]), after: clean(resolution[index + 1]) }] : [],
  );
}

const hasHunk = (piece: Piece): piece is Piece & { hunk: Hunk } => piece.hunk !== null;

/** No more than what may be shown of it. */
function linesOf(piece: Piece | null): string[] {
  if (piece === null || piece.text === "" || piece.text === "\n") return [];
  return piece.text.replace(/\n$/, "").split("\n");
}

/** Keys that are heard wherever nobody types. */
function useKeys(onKey: (key: string) => boolean): void {
  const latest = useRef(onKey);
  latest.current = onKey;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
      const modified = event.ctrlKey || event.metaKey;
      const key = modified ? (event.key === "Enter" ? "Ctrl+Enter" : null) : event.key;
      if (key === null || (key !== "Ctrl+Enter" && isTyping(event.target))) return;
      if (latest.current(key)) event.preventDefault();
    };
    addEventListener("keydown", heard);
    return () => removeEventListener("keydown", heard);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== "radio";
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
