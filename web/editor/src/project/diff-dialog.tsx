/** Two versions of a file, read as one: what went and what came. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { fetchText } from "../api/files.ts";
import { ApiError, messageOf } from "../api/http.ts";
import { Loading } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { type DiffLine, unified } from "./diff.ts";

/** A file at a commit, or, with null, as it is now. */
export interface Version {
  path: string;
  at: string | null;
}

interface Texts {
  before: string | null;
  after: string | null;
}

interface DiffProps {
  project: string;
  title: string;
  /** Null: the file was not there. */
  before: Version | null;
  after: Version | null;
  onClose: () => void;
  /** The server does not give old versions in this way. */
  onUnable: () => void;
  children?: ComponentChildren;
}

/** More lines than anybody reads; the rest is told as a number. */
const MOST = 5_000;

export function DiffDialog({ project, title, before, after, onClose, onUnable, children }: DiffProps) {
  const texts = useSignal<Texts | null>(null);
  const error = useSignal<string | null>(null);
  useEffect(() => {
    Promise.all([textOf(project, before), textOf(project, after)]).then(
      ([old, now]) => {
        texts.value = { before: old, after: now };
      },
      (thrown: unknown) => {
        error.value = messageOf(thrown);
        if (thrown instanceof ApiError && thrown.status >= 400 && thrown.status < 500) onUnable();
      },
    );
  }, []);
  return (
    <Dialog title={title} onClose={onClose} wide>
      {error.value ? (
        <p class="form-error" role="alert">
          The two versions could not be compared: {error.value}
        </p>
      ) : texts.value === null ? (
        <Loading what="both versions" />
      ) : (
        <Diff texts={texts.value} />
      )}
      {children && <footer>{children}</footer>}
    </Dialog>
  );
}

async function textOf(project: string, version: Version | null): Promise<string | null> {
  return version === null ? "" : fetchText(project, version.path, version.at);
}

function Diff({ texts }: { texts: Texts }) {
  const { before, after } = texts;
  const lines = useMemo(() => (before === null || after === null ? null : unified(before, after)), [texts]);
  if (lines === null) return <p>This is no text, or a very long one: there are no lines to compare.</p>;
  if (lines.length === 0) return <p>Both versions hold the same text.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also with the keyboard
    <div class="diff" tabIndex={0} role="region" aria-label="Changed lines">
      <table>
        <tbody>
          {lines.slice(0, MOST).map((line, index) => (
            <Line key={index} line={line} />
          ))}
        </tbody>
      </table>
      {lines.length > MOST && <p>and {(lines.length - MOST).toLocaleString("en")} more lines</p>}
    </div>
  );
}

const SIGN = { same: "", gone: "−", new: "+", gap: "" } as const;
const SAYS = { same: "", gone: "removed: ", new: "added: ", gap: "" } as const;

function Line({ line }: { line: DiffLine }) {
  return (
    <tr class={`diff-${line.kind}`}>
      <td class="diff-number">{line.before}</td>
      <td class="diff-number">{line.after}</td>
      <td class="diff-sign" aria-hidden="true">
        {SIGN[line.kind]}
      </td>
      <td class="diff-text">
        {SAYS[line.kind] && <span class="offscreen">{SAYS[line.kind]}</span>}
        {line.text}
      </td>
    </tr>
  );
}
