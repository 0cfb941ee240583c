/** A conflict with no lines to merge: the sides beside each other, and one of them, or both, to be taken. */

import { useMemo } from "preact/hooks";
import { sideUrl } from "../api/conflicts.ts";
import type { ConflictInFull, ConflictSide } from "../api/types.ts";
import { baseName } from "../format.ts";
import { type DiffLine, unified } from "../project/diff.ts";
import { canWrite } from "../session.ts";
import { Button } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import type { Decide } from "./view.tsx";
import { ways } from "./words.ts";

interface WholeProps {
  project: string;
  conflict: ConflictInFull;
  settle: Decide;
  busy: boolean;
}

export function Whole({ project, conflict, settle, busy }: WholeProps) {
  const offered = ways(conflict);
  return (
    <>
      <Sides project={project} conflict={conflict} />
      {canWrite.value ? (
        <ul class="ways-out" aria-label="Ways to resolve it">
          {offered.map((way, index) => (
            <li key={way.take}>
              <Button
                kind={index === 0 ? "primary" : "plain"}
                busy={busy}
                onClick={() => void settle({ take: way.take })}
              >
                {way.label}
              </Button>
              <span class="quiet">{way.means}</span>
            </li>
          ))}
        </ul>
      ) : (
        <p class="quiet">You may look at this project, and not decide.</p>
      )}
    </>
  );
}

/** The three files beside each other. */
export function Sides({ project, conflict }: { project: string; conflict: ConflictInFull }) {
  const open = conflict.state === "open";
  const of = { project, conflict };
  return (
    <div class="sides">
      <SideCard title="Before" side={conflict.base} which="base" {...of} />
      <SideCard title={open ? "Ours, as it is here" : "Ours, as it was"} side={conflict.ours} which="ours" {...of} />
      <SideCard title="Theirs, as it was pushed" side={conflict.theirs} which="theirs" {...of} />
    </div>
  );
}

interface CardProps {
  title: string;
  side: ConflictSide | null;
  which: "base" | "ours" | "theirs";
  project: string;
  conflict: ConflictInFull;
}

function SideCard({ title, side, which, project, conflict }: CardProps) {
  return (
    <section class="side-card" aria-label={title}>
      <h2>{title}</h2>
      {side === null ? (
        <p class="side-none">
          <Icon name="trash" /> {which === "base" ? "There was no such file." : "Deleted."}
        </p>
      ) : (
        <>
          <p class="side-path">{side.path}</p>
          <Content side={side} which={which} project={project} conflict={conflict} />
          <p class="side-facts">
            <code>{side.sha.slice(0, 10)}</code>
            <a href={sideUrl(project, conflict.id, which, side.sha)} download={baseName(side.path)}>
              Download<span class="offscreen"> {title}</span>
            </a>
          </p>
        </>
      )}
      {side === null && conflict.blockers.length > 0 && which === "ours" && (
        <p class="quiet">Here stands: {conflict.blockers.join(", ")}</p>
      )}
    </section>
  );
}

/** Longer ones are not for reading here. */
const MOST_LINES = 400;

function Content({ side, which, project, conflict }: Omit<CardProps, "title"> & { side: ConflictSide }) {
  const before = which === "base" ? undefined : conflict.base?.text;
  const lines = useMemo(() => linesOf(side.text, before), [side.text, before]);
  if (lines !== null) {
    return (
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also with the keyboard
      <div class="diff" tabIndex={0} role="region" aria-label={`Text of ${side.path}`}>
        {lines.length === 0 ? (
          <p class="side-none">As it was before.</p>
        ) : (
          <table>
            <tbody>
              {lines.slice(0, MOST_LINES).map((line, index) => (
                <tr key={index} class={`diff-${line.kind}`}>
                  <td class="diff-number">{line.after ?? line.before}</td>
                  <td class="diff-text">
                    {line.kind === "new" && <span class="offscreen">added: </span>}
                    {line.kind === "gone" && <span class="offscreen">removed: </span>}
                    {line.text}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {lines.length > MOST_LINES && <p class="quiet">and {lines.length - MOST_LINES} more lines</p>}
      </div>
    );
  }
  if (/\.(png|jpe?g|gif|webp|avif|ico|bmp)$/i.test(side.path)) {
    return (
      <img class="side-picture" src={sideUrl(project, conflict.id, which, side.sha)} alt={`${side.path}, ${which}`} />
    );
  }
  return (
    <p class="side-none">
      <Icon name="binary" /> No text.
    </p>
  );
}

function linesOf(text: string | undefined, before: string | undefined): DiffLine[] | null {
  if (text === undefined) return null;
  if (before !== undefined) return unified(before, text);
  return text
    .replace(/\n$/, "")
    .split("\n")
    .slice(0, MOST_LINES + 1)
    .map((line, index) => ({ kind: "same", text: line, before: null, after: index + 1 }));
}
