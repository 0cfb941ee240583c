/** A file as it once was: read only, under a banner that says so and leads back. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { fetchText } from "../api/files.ts";
import { messageOf } from "../api/http.ts";
import { baseName } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { Button, copyText, Loading } from "../ui/controls.tsx";
import { Icon } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";
import { toast } from "../ui/toasts.tsx";

interface VersionProps {
  project: string;
  path: string;
  at: string;
}

type Found = { text: string | null } | { error: string };

export function VersionView({ project, path, at }: VersionProps) {
  const found = useSignal<Found | null>(null);
  useEffect(() => {
    let gone = false;
    found.value = null;
    fetchText(project, path, at).then(
      (text) => {
        if (!gone) found.value = { text };
      },
      (error: unknown) => {
        if (!gone) found.value = { error: messageOf(error) };
      },
    );
    return () => {
      gone = true;
    };
  }, [project, path, at]);
  const now = hrefOf({ page: "project", project, path, line: null });
  const answer = found.value;
  const text = answer && "text" in answer ? answer.text : null;
  return (
    <div class="pane" id="text" role="tabpanel" aria-label="An old version">
      <div class="text">
        <div class="notice" role="status">
          <Icon name="history" />
          <span>
            {baseName(path)} as it was at {nameOfVersion(at)}. It can be read and copied, not written in.
          </span>
          <span class="notice-actions">
            {text !== null && (
              <Button icon="copy" onClick={() => void copyText(text).then(() => toast("The old text was copied."))}>
                Copy text
              </Button>
            )}
            <a class="button primary" href={now}>
              Back to the file as it is now
            </a>
          </span>
        </div>
        {answer === null && <Loading what={baseName(path)} />}
        {answer && "error" in answer && (
          <Message icon="search" title={`There is no such version of ${baseName(path)}`}>
            <p>{answer.error}</p>
          </Message>
        )}
        {answer && "text" in answer && answer.text === null && (
          <Message icon="binary" title={`${baseName(path)} was not text`}>
            <p>It was something else than text then, or a very long one.</p>
          </Message>
        )}
        {text !== null && <OldText key={`${path} ${at}`} text={text} path={path} />}
      </div>
    </div>
  );
}

function OldText({ text, path }: { text: string; path: string }) {
  const parent = useRef<HTMLDivElement>(null);
  const failed = useSignal(false);
  useEffect(() => {
    let close: (() => void) | null = null;
    let gone = false;
    import("../code/old-text.ts").then(
      ({ showOldText }) => {
        if (!gone && parent.current) close = showOldText(parent.current, text, path);
      },
      () => {
        failed.value = true;
      },
    );
    return () => {
      gone = true;
      close?.();
    };
  }, []);
  // Without the editor's part of the page the text is still there to read.
  return failed.value ? <pre class="code">{text}</pre> : <div class="code" ref={parent} />;
}

/** A commit by its first digits, a time as people write it, anything else as it stands in the address. */
function nameOfVersion(at: string): string {
  if (/^[0-9a-f]{40}$/.test(at)) return `commit ${at.slice(0, 10)}`;
  if (/^\d{1,16}$/.test(at)) return `position ${at}`;
  const time = Date.parse(at);
  return Number.isNaN(time) ? at : new Date(time).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
}
