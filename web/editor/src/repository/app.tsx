/** For whoever runs this Quire: its GitHub App, made in a click, and which installation this project's admins may use. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messageOf } from "../api/http.ts";
import { allowInstallation, fetchGitHub, forgetApp, listInstallations, makeManifest } from "../api/remote.ts";
import type { GitHub, Installation, Manifest } from "../api/types.ts";
import { Button, Field } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";

export function AppSection({ project }: { project: string }) {
  const github = useSignal<GitHub | null>(null);
  const installations = useSignal<Installation[] | null>(null);
  const error = useSignal<string | null>(null);
  const removing = useSignal(false);
  const load = async () => {
    error.value = null;
    try {
      github.value = await fetchGitHub();
      installations.value = github.value.app ? await listInstallations(project) : null;
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => void load(), [project]);
  const allow = async (each: Installation, allowed: boolean) => {
    error.value = null;
    const others = (each.projects ?? []).filter((name) => name !== project);
    try {
      const now = await allowInstallation(each.id, allowed ? [...others, project] : others);
      installations.value = (installations.value ?? []).map((before) => (before.id === now.id ? now : before));
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  const app = github.value?.app;
  return (
    <section class="setting" aria-label="GitHub App">
      <div class="setting-head">
        <h2>GitHub App</h2>
        {app && (
          <Button kind="danger" onClick={() => (removing.value = true)}>
            Remove…
          </Button>
        )}
      </div>
      <p class="quiet">
        An App of this Quire's own reaches the repositories that you choose on GitHub, without anybody's token; its
        commits are signed by GitHub, and pushes are told of at once.
      </p>
      {app ? (
        <>
          <p>
            <a href={app.url}>{app.name}</a>, of {app.owner}.{" "}
            <span class="quiet">
              {app.webhook
                ? "GitHub tells it of pushes."
                : "GitHub cannot reach this server to tell of pushes; branches are looked at every half minute."}
            </span>
          </p>
          <ul class="grants">
            {(installations.value ?? []).map((each) => (
              <li key={each.id}>
                <span>
                  <strong>{each.account}</strong>{" "}
                  <span class="quiet">
                    {each.suspended ? "suspended" : each.whole ? "all repositories" : "chosen repositories"}{" "}
                    <a href={each.url} target="_blank" rel="noreferrer">
                      change on GitHub
                    </a>
                  </span>
                  <label class="check allowed">
                    <input
                      type="checkbox"
                      checked={each.projects?.includes(project) ?? false}
                      onChange={(event) => void allow(each, event.currentTarget.checked)}
                    />
                    <span>Admins of this project may use it, for any of these repositories</span>
                  </label>
                </span>
              </li>
            ))}
          </ul>
          <p>
            <a class="button" href={app.install}>
              {(installations.value?.length ?? 0) === 0
                ? "Choose repositories on GitHub"
                : "Install it for another account"}
            </a>
          </p>
        </>
      ) : (
        github.value && <MakeApp project={project} />
      )}
      {error.value && (
        <p class="field-error" role="alert">
          {error.value}
        </p>
      )}
      {removing.value && app && (
        <RemoveDialog
          name={app.name}
          url={app.url}
          onClose={() => {
            removing.value = false;
          }}
          onDone={() => void load()}
        />
      )}
    </section>
  );
}

function MakeApp({ project }: { project: string }) {
  const organization = useSignal("");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      const whose = organization.value.trim();
      post(await makeManifest(whose === "" ? { project } : { project, organization: whose }));
    } catch (thrown) {
      error.value = messageOf(thrown);
      busy.value = false;
    }
  };
  return (
    <form class="make-app" onSubmit={(event) => void make(event)}>
      <Field
        label="Organization"
        hint="Whose the App shall be, as it is called in its address on GitHub. Empty: your own."
        error={error.value}
      >
        <input
          class="input"
          spellcheck={false}
          autocomplete="off"
          pattern="[A-Za-z0-9\-]*"
          value={organization}
          onInput={(event) => {
            organization.value = event.currentTarget.value;
          }}
        />
      </Field>
      <p class="quiet">
        GitHub asks you to confirm, and sends you back here. The App may read and write contents, workflows and pull
        requests of the repositories that you choose afterwards, and nothing else.
      </p>
      <Button type="submit" kind="primary" icon="git" busy={busy.value}>
        Make the GitHub App
      </Button>
    </form>
  );
}

/** GitHub takes the manifest from a form that the browser of its future owner sends. */
function post({ action, manifest }: Manifest): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = action;
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "manifest";
  field.value = JSON.stringify(manifest);
  form.append(field);
  document.body.append(form);
  form.submit();
}

interface RemoveDialogProps {
  name: string;
  url: string;
  onClose: () => void;
  onDone: () => void;
}

function RemoveDialog({ name, url, onClose, onDone }: RemoveDialogProps) {
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const remove = async () => {
    busy.value = true;
    error.value = null;
    try {
      await forgetApp();
      onDone();
      onClose();
    } catch (thrown) {
      error.value = messageOf(thrown);
      busy.value = false;
    }
  };
  return (
    <Dialog title={`Remove ${name}?`} onClose={onClose} dismissible={!busy.value}>
      <p>
        Its keys are forgotten here, for all projects. Those that are connected through it are not committed and get
        nothing any more, and say so, until there is an App again. On GitHub it stays until you{" "}
        <a href={`${url}`} target="_blank" rel="noreferrer">
          delete it there
        </a>
        .
      </p>
      {error.value && (
        <p class="form-error" role="alert">
          {error.value}
        </p>
      )}
      <footer>
        <Button onClick={onClose} disabled={busy.value}>
          Cancel
        </Button>
        <Button kind="danger" busy={busy.value} onClick={() => void remove()}>
          Remove
        </Button>
      </footer>
    </Dialog>
  );
}
