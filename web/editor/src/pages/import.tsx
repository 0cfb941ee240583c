/**
 * Brings a project in: a git address, an archive or a folder, with progress until it is there.
 *
 * The project is made first and filled by a job of the server, which is all or nothing; when the job fails, the project that
 * was made for it is taken away again, and the form stays with the reason.
 */

import { type Signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { ApiError, messageOf } from "../api/http.ts";
import { createProject, deleteProject, fetchJob, importFiles, importGit } from "../api/projects.ts";
import type { Job } from "../api/types.ts";
import { bytes, counted } from "../format.ts";
import { go } from "../navigation.ts";
import { Button, Field, Progress } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { toast } from "../ui/toasts.tsx";
import { type Dropped, pickedFiles, pickedFolder } from "./dropped.ts";
import { asProjectName, NAME_HINT, NAME_PATTERN } from "./naming.tsx";

const POLL_MS = 400;

interface Running {
  text: string;
  part: number | null;
}

export function ImportDialog({ dropped, onClose }: { dropped: Dropped | null; onClose: () => void }) {
  const source = useSignal<Dropped | null>(dropped);
  const url = useSignal("");
  const name = useSignal(dropped ? asProjectName(dropped.name) : "");
  const named = useSignal(false);
  const running = useSignal<Running | null>(null);
  const error = useSignal<string | null>(null);
  const suggest = (text: string) => {
    if (!named.value) name.value = asProjectName(text);
  };
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    error.value = null;
    try {
      await bringIn(name.value.trim(), source.value, url.value.trim(), running);
      onClose();
      go({ page: "project", project: name.value.trim(), path: null, line: null });
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      running.value = null;
    }
  };
  return (
    <Dialog title="Import a project" onClose={onClose} dismissible={running.value === null} wide>
      <form onSubmit={(event) => void submit(event)}>
        <fieldset disabled={running.value !== null}>
          <Field label="From a git address" hint="An https address, or a path on the server's machine.">
            <input
              class="input mono"
              placeholder="https://example.org/team/notes.git"
              spellcheck={false}
              required={source.value === null}
              disabled={source.value !== null}
              value={url}
              onInput={(event) => {
                url.value = event.currentTarget.value;
                suggest(url.value.replace(/\/+$/, "").split(/[/:]/).at(-1) ?? "");
              }}
            />
          </Field>
          <p class="or">or from this computer</p>
          <Pickers source={source} suggest={suggest} />
          <Field label="Project name" hint={NAME_HINT}>
            <input
              class="input"
              required
              maxLength={100}
              pattern={NAME_PATTERN}
              title={NAME_HINT}
              spellcheck={false}
              value={name}
              onInput={(event) => {
                name.value = event.currentTarget.value;
                named.value = name.value !== "";
              }}
            />
          </Field>
        </fieldset>
        {error.value && (
          <p class="form-error" role="alert">
            {error.value}
          </p>
        )}
        {running.value && (
          <div class="running" role="status">
            <Progress label="Import" value={running.value.part} />
            <span>{running.value.text}</span>
          </div>
        )}
        <footer>
          <Button onClick={onClose} disabled={running.value !== null}>
            Cancel
          </Button>
          <Button type="submit" kind="primary" busy={running.value !== null}>
            Import project
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

function Pickers({ source, suggest }: { source: Signal<Dropped | null>; suggest: (text: string) => void }) {
  const archive = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => folder.current?.setAttribute("webkitdirectory", ""), []);
  const take = (picked: Dropped) => {
    if (picked.files.length === 0) return;
    source.value = picked;
    suggest(picked.name);
  };
  const chosen = source.value;
  return (
    <div class="pickers">
      <input
        ref={archive}
        type="file"
        class="offscreen"
        tabIndex={-1}
        aria-label="Archive"
        accept=".zip,.tar.gz,.tgz,.tar,.sqlite"
        onChange={(event) => event.currentTarget.files && take(pickedFiles(event.currentTarget.files))}
      />
      <input
        ref={folder}
        type="file"
        class="offscreen"
        tabIndex={-1}
        aria-label="Folder"
        multiple
        onChange={(event) => event.currentTarget.files && take(pickedFolder(event.currentTarget.files))}
      />
      <Button icon="file" onClick={() => archive.current?.click()}>
        Archive (.zip, .tar.gz)
      </Button>
      <Button icon="folder" onClick={() => folder.current?.click()}>
        Folder
      </Button>
      {chosen && (
        <span class="chosen-files">
          {chosen.name}: {counted(chosen.files.length, "file")},{" "}
          {bytes(chosen.files.reduce((sum, each) => sum + each.file.size, 0))}
          <Button kind="quiet" onClick={() => (source.value = null)}>
            Clear
          </Button>
        </span>
      )}
    </div>
  );
}

/** The server said that the import failed, and took back all of it. */
class ImportFailed extends Error {}

async function bringIn(
  name: string,
  source: Dropped | null,
  url: string,
  running: Signal<Running | null>,
): Promise<void> {
  running.value = { text: "Making the project…", part: null };
  await createProject(name);
  try {
    const job = source
      ? await importFiles(name, source.files, (part) => {
          running.value = { text: part < 1 ? "Sending the files…" : "Sent. The server is reading them…", part };
        })
      : await importGit(name, url);
    await finish(name, job, running);
  } catch (error) {
    if (error instanceof ImportFailed || (error instanceof ApiError && error.status !== 0)) await deleteProject(name);
    throw error;
  }
}

async function finish(name: string, started: Job, running: Signal<Running | null>): Promise<void> {
  let job = started;
  while (job.state === "running") {
    running.value = progressOf(job);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    job = (await askAgain(name, job.id, running)) ?? job;
  }
  if (job.state === "failed") throw new ImportFailed(job.message ?? "The import failed; the server did not say why.");
  const skipped = job.skipped?.length ?? 0;
  if (skipped > 0) toast(`${counted(skipped, "entry", "entries")} could not be taken over. ${job.message ?? ""}`);
}

/** Null while the server does not answer: the job goes on there, whether we hear of it or not. */
async function askAgain(name: string, id: string, running: Signal<Running | null>): Promise<Job | null> {
  try {
    return await fetchJob(name, id);
  } catch (error) {
    if (!(error instanceof ApiError) || (error.status > 0 && error.status < 500)) throw error;
    running.value = { text: "The server cannot be reached. Waiting for it…", part: null };
    return null;
  }
}

function progressOf(job: Job): Running {
  const phase = job.phase ? `${job.phase[0]?.toUpperCase()}${job.phase.slice(1)}` : "Working";
  const part = job.total ? job.done / job.total : null;
  if (job.total) return { text: `${phase}: ${job.done.toLocaleString("en")} of ${counted(job.total, "file")}`, part };
  return { text: job.done > 0 ? `${phase}: ${counted(job.done, "file")}` : `${phase}…`, part };
}
