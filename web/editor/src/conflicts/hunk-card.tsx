/** One hunk: ours, what was before and theirs beside each other, and the choice between them. */

import { useMemo } from "preact/hooks";
import type { Choice, Hunk, Piece, Resolution, Side } from "./resolution.ts";
import { partsOf } from "./words-apart.ts";

export const SIDES: readonly { side: Side; key: string; label: string }[] = [
  { side: "ours", key: "1", label: "Ours" },
  { side: "theirs", key: "2", label: "Theirs" },
  { side: "both", key: "3", label: "Both" },
];

export interface Acts {
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
export function HunkCard(props: HunkProps) {
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
export function neighbours(resolution: Resolution): Placed[] {
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
