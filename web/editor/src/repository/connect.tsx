/**
 * Connects a project elsewhere, in two steps: where to, and then what that would bring together. Nothing is changed before the
 * last button. The same dialog changes a branch, a folder or the credential of the connection that there is.
 */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { ApiError, messageOf } from "../api/http.ts";
import { connectRemote, fetchGitHub, listInstallations, previewRemote, type Way } from "../api/remote.ts";
import type { GitHub, Installation, Remote, RemotePreview, Take, WantedRemote } from "../api/types.ts";
import { me } from "../session.ts";
import { Button, Field, Loading } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { RepositoryPicker } from "./picker.tsx";
import { PreviewOf } from "./preview.tsx";
import { patternsOf, repositoryOf, whatCame } from "./words.ts";

/** By what the repository is reached. */
type By = "app" | "token" | "server" | "disk";

/** A token of GitHub's has at least so many characters: shorter ones are still being typed. */
const TOKEN_LENGTH = 20;

interface Form {
  by: Signal<By>;
  installation: Signal<number | null>;
  token: Signal<string>;
  repository: Signal<string>;
  own: Signal<string>;
  branch: Signal<string>;
  folder: Signal<string>;
  patterns: Signal<string>;
  pullRequest: Signal<boolean>;
}

function useForm(remote: Remote): Form {
  const elsewhere = !remote.local;
  const by: By = elsewhere && remote.kind === "git" ? "disk" : (remote.credential ?? "token");
  return {
    by: useSignal<By>(by),
    installation: useSignal<number | null>(remote.installation),
    token: useSignal(""),
    repository: useSignal(elsewhere ? remote.repository : ""),
    own: useSignal(""),
    branch: useSignal(elsewhere ? remote.branch : ""),
    folder: useSignal(remote.folder),
    patterns: useSignal(remote.patterns.join("\n")),
    pullRequest: useSignal(remote.pull_request),
  };
}

interface ConnectDialogProps {
  project: string;
  remote: Remote;
  onClose: () => void;
  /** What came of it. */
  onDone: (said: string) => void;
}

export function ConnectDialog({ project, remote, onClose, onDone }: ConnectDialogProps) {
  const form = useForm(remote);
  const github = useSignal<GitHub | null>(null);
  const installations = useSignal<Installation[]>([]);
  const preview = useSignal<RemotePreview | null>(null);
  const take = useSignal<Take | null>(null);
  const error = useSignal<ApiError | null>(null);
  const busy = useSignal(false);
  const frame = useRef<HTMLFormElement>(null);
  useEffect(() => {
    void begin();
  }, []);
  // Each step begins at its first question; the one without any, at its button.
  useLayoutEffect(() => {
    const first = frame.current?.querySelector<HTMLElement>("input:not(:disabled)");
    (first ?? frame.current?.querySelector<HTMLElement>(".primary"))?.focus();
  }, [github.value === null, preview.value === null]);
  const begin = async () => {
    try {
      const found = await fetchGitHub();
      if (found.app) installations.value = (await listInstallations(project)).filter((each) => !each.suspended);
      github.value = found;
      form.installation.value ??= installations.value[0]?.id ?? null;
      if (remote.local && installations.value.length > 0) form.by.value = "app";
    } catch (thrown) {
      error.value = asApiError(thrown);
      github.value ??= { app: null, server_token: false, api: "" };
    }
  };
  const guarded = async (work: () => Promise<void>) => {
    busy.value = true;
    error.value = null;
    try {
      await work();
    } catch (thrown) {
      error.value = asApiError(thrown);
    } finally {
      busy.value = false;
    }
  };
  const look = () =>
    guarded(async () => {
      take.value = null;
      preview.value = await previewRemote(project, wantedOf(form, remote));
    });
  const connect = () =>
    guarded(async () => {
      try {
        onDone(whatCame(await connectRemote(project, wantedOf(form, remote), take.value)));
        onClose();
      } catch (thrown) {
        // Something came in between, and now there is a choice.
        if (!(thrown instanceof ApiError) || thrown.code !== "take_needed") throw thrown;
        preview.value = await previewRemote(project, wantedOf(form, remote));
        throw thrown;
      }
    });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void (preview.value === null ? look() : connect());
  };
  const title = remote.local ? "Connect to a repository" : "Change the connection";
  return (
    <Dialog title={title} onClose={onClose} dismissible={!busy.value} wide>
      {github.value === null ? (
        <Loading what="what can be reached" />
      ) : (
        <form class="connect" ref={frame} onSubmit={submit}>
          {preview.value === null ? (
            <fieldset disabled={busy.value}>
              <Where
                project={project}
                form={form}
                remote={remote}
                github={github.value}
                installations={installations.value}
                error={error.value}
              />
            </fieldset>
          ) : (
            <PreviewOf preview={preview.value} take={take} />
          )}
          {error.value && !(preview.value === null && isShown(error.value, form.by.value)) && (
            <p class="form-error" role="alert">
              {error.value.message}
            </p>
          )}
          <footer>
            {preview.value === null ? (
              <Button onClick={onClose}>Cancel</Button>
            ) : (
              <Button
                disabled={busy.value}
                onClick={() => {
                  preview.value = null;
                  error.value = null;
                }}
              >
                Back
              </Button>
            )}
            <Button
              type="submit"
              kind="primary"
              busy={busy.value}
              disabled={preview.value?.choice === true && take.value === null}
            >
              {preview.value === null ? "Look what that means" : "Connect"}
            </Button>
          </footer>
        </form>
      )}
    </Dialog>
  );
}

interface WhereProps {
  project: string;
  form: Form;
  remote: Remote;
  github: GitHub;
  installations: Installation[];
  error: ApiError | null;
}

function Where({ project, form, remote, github, installations, error }: WhereProps) {
  const root = me.value?.role === "root";
  const by = form.by.value;
  const said = (field: string): string | null => (error !== null && aboutWhat(error) === field ? error.message : null);
  const onGitHub = by !== "disk";
  return (
    <>
      <fieldset class="reached-by">
        <legend class="field-label">Where</legend>
        <WayTo form={form} by="app" label="GitHub, through the App" />
        <WayTo form={form} by="token" label="GitHub, with a token" />
        {root && github.server_token && <WayTo form={form} by="server" label="GitHub, with the server's token" />}
        {root && <WayTo form={form} by="disk" label="A repository on the server's disk" />}
      </fieldset>
      {by === "app" && <ByApp form={form} github={github} installations={installations} root={root} />}
      {by === "token" && (
        <Field
          label="Token"
          hint={
            remote.credential === "token"
              ? "Empty: the present one stays. It is kept sealed, and never shown."
              : "One that may read and write contents and pull requests. It is kept sealed, and never shown."
          }
          error={said("token")}
        >
          <input
            class="input mono"
            type="password"
            autocomplete="off"
            required={remote.credential !== "token"}
            value={form.token}
            onInput={(event) => {
              form.token.value = event.currentTarget.value.trim();
            }}
          />
        </Field>
      )}
      {onGitHub ? (
        <RepositoryPicker
          project={project}
          way={wayOf(form)}
          chosen={form.repository}
          branch={form.own}
          error={said("repository")}
        />
      ) : (
        <Text
          label="Path"
          hint="Absolute, of a git repository on the server's machine."
          value={form.repository}
          error={said("repository")}
          required
        />
      )}
      <Text
        label="Branch"
        hint="Empty: the repository's own."
        placeholder={form.own.value || "main"}
        value={form.branch}
        error={said("branch")}
      />
      <details open={form.folder.value !== "" || form.patterns.value !== ""}>
        <summary>Only a part of it</summary>
        <Text
          label="Folder"
          hint="Of the repository; it is what the project is then."
          value={form.folder}
          error={said("folder")}
        />
        <Field
          label="Files"
          hint="Patterns as in a .gitignore, one a line, counted from the folder: which files belong. Empty: all of them."
          error={said("patterns")}
        >
          <textarea
            class="input mono"
            rows={3}
            spellcheck={false}
            placeholder="docs/**/*.md"
            value={form.patterns}
            onInput={(event) => {
              form.patterns.value = event.currentTarget.value;
            }}
          />
        </Field>
      </details>
      {onGitHub && (
        <label class="check">
          <input
            type="checkbox"
            checked={form.pullRequest}
            onChange={(event) => {
              form.pullRequest.value = event.currentTarget.checked;
            }}
          />
          <span>
            Commit to a branch of its own, with one pull request
            <span class="field-hint">
              It is kept up to date; the branch above gets nothing before somebody merges it.
            </span>
          </span>
        </label>
      )}
    </>
  );
}

function WayTo({ form, by, label }: { form: Form; by: By; label: string }) {
  return (
    <label class="check">
      <input
        type="radio"
        name="by"
        checked={form.by.value === by}
        onChange={() => {
          if ((form.by.value === "disk") !== (by === "disk")) form.repository.value = "";
          form.by.value = by;
        }}
      />
      <span>{label}</span>
    </label>
  );
}

interface ByAppProps {
  form: Form;
  github: GitHub;
  installations: Installation[];
  root: boolean;
}

function ByApp({ form, github, installations, root }: ByAppProps) {
  if (!github.app) {
    return (
      <p>
        There is no GitHub App here yet.{" "}
        {root ? "You can make one on this page, under GitHub App." : "Whoever runs this Quire can make one."} Or give a
        token.
      </p>
    );
  }
  if (installations.length === 0) {
    return (
      <p>
        {root ? (
          <>
            The App is installed nowhere yet:{" "}
            <a href={github.app.install} target="_blank" rel="noreferrer">
              choose on GitHub what it may reach
            </a>
            .
          </>
        ) : (
          "This project may not use the App yet: whoever runs this Quire can allow it. Or give a token."
        )}
      </p>
    );
  }
  return (
    <Field label="Account" hint="Whose repositories the App may reach.">
      <select
        class="input"
        value={String(form.installation.value ?? "")}
        onChange={(event) => {
          form.installation.value = Number(event.currentTarget.value);
        }}
      >
        {installations.map((each) => (
          <option key={each.id} value={String(each.id)}>
            {each.account}
            {each.may_commit ? "" : " (can only be read)"}
          </option>
        ))}
      </select>
    </Field>
  );
}

interface TextProps {
  label: string;
  hint: string;
  value: Signal<string>;
  error: string | null;
  placeholder?: string;
  required?: boolean;
}

function Text({ label, hint, value, error, placeholder = "", required = false }: TextProps) {
  return (
    <Field label={label} hint={hint} error={error}>
      <input
        class="input"
        spellcheck={false}
        autocomplete="off"
        required={required}
        placeholder={placeholder}
        value={value}
        onInput={(event) => {
          value.value = event.currentTarget.value;
        }}
      />
    </Field>
  );
}

/** Null where nothing can be listed: a name in full is needed then. */
function wayOf(form: Form): Way | null {
  const installation = form.installation.value;
  if (form.by.value === "server") return { by: "server" };
  if (form.by.value === "app") return installation === null ? null : { by: "app", installation };
  const token = form.token.value;
  return token.length < TOKEN_LENGTH ? null : { by: "token", token };
}

function wantedOf(form: Form, remote: Remote): WantedRemote {
  const disk = form.by.value === "disk";
  const text = form.repository.value.trim();
  const branch = form.branch.value.trim() || form.own.value;
  const stays = remote.credential === "token" && form.token.value === "";
  return {
    kind: disk ? "git" : "github",
    repository: disk ? text : repositoryOf(text),
    folder: form.folder.value.trim(),
    patterns: patternsOf(form.patterns.value),
    ...(branch !== "" && { branch }),
    ...(form.by.value === "token" && !stays && { token: form.token.value }),
    ...(form.by.value === "app" && form.installation.value !== null && { installation: form.installation.value }),
    ...(!disk && { pull_request: form.pullRequest.value }),
  };
}

/** Whether the error is said at the field that it is about. */
function isShown(error: ApiError, by: By): boolean {
  const field = aboutWhat(error);
  if (field === "token") return by === "token";
  return ["repository", "branch", "folder", "patterns"].includes(field ?? "");
}

/** The field that an error is about; GitHub's own answers name none. */
function aboutWhat(error: ApiError): string | null {
  if (error.code === "remote_gone") return "repository";
  if (error.code === "remote_unauthorized") return "token";
  return error.field;
}

function asApiError(thrown: unknown): ApiError {
  return thrown instanceof ApiError ? thrown : new ApiError(0, "error", messageOf(thrown));
}
