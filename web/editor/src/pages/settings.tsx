/** The settings of a project: where it is committed, who may come in, tokens for programs, its name, and its end. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, messageOf } from "../api/http.ts";
import { deleteProject, fetchProject, renameProject } from "../api/projects.ts";
import { createToken, listInvites, listTokens, revokeInvite, revokeToken } from "../api/sharing.ts";
import { type Actor, type Invite, nameOf, type Role, type Time, type Token } from "../api/types.ts";
import { ago, timeOf } from "../format.ts";
import { go, hrefOf } from "../navigation.ts";
import { ExpiryField, InviteDialog, RoleField } from "../project/invite-dialog.tsx";
import { AppSection } from "../repository/app.tsx";
import { fetchStanding, RepositorySection, type Standing } from "../repository/section.tsx";
import { whatGitHubSaid } from "../repository/words.ts";
import { canManage, me } from "../session.ts";
import { Button, CopyField, Field, Loading } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Message } from "../ui/shell.tsx";
import { tell, toast } from "../ui/toasts.tsx";
import { ProjectFrame } from "./frame.tsx";
import { DeleteDialog, NameDialog } from "./naming.tsx";

type Asking = "rename" | "delete" | "invite" | "token" | null;

export function SettingsPage({ project }: { project: string }) {
  const standing = useSignal<Standing | null>(null);
  const notice = useSignal(whatGitHubSaid(new URLSearchParams(location.search).get("github")));
  const invites = useSignal<Invite[] | null>(null);
  const tokens = useSignal<Token[] | null>(null);
  const error = useSignal<ApiError | null>(null);
  const asking = useSignal<Asking>(null);
  const load = async () => {
    error.value = null;
    try {
      await fetchProject(project);
      standing.value = await fetchStanding(project);
      if (!canManage.value) return;
      [invites.value, tokens.value] = await Promise.all([listInvites(project), listTokens(project)]);
    } catch (thrown) {
      error.value = thrown instanceof ApiError ? thrown : new ApiError(0, "error", messageOf(thrown));
    }
  };
  useEffect(() => {
    document.title = `Settings — ${project}`;
    // What GitHub's redirect said is said once.
    if (notice.value !== null) go({ page: "settings", project }, "replace");
    void load();
  }, [project]);
  const close = () => {
    asking.value = null;
  };
  return (
    <ProjectFrame project={project} title="Settings" retry={() => void load()}>
      {error.value ? (
        <Trouble error={error.value} project={project} retry={() => void load()} />
      ) : standing.value === null ? (
        <Loading what="the settings" />
      ) : (
        <>
          <RepositorySection project={project} standing={standing} notice={notice} />
          {me.value?.role === "root" && <AppSection project={project} />}
          {canManage.value ? (
            <>
              <Invites
                project={project}
                invites={invites.value ?? []}
                ask={() => (asking.value = "invite")}
                load={load}
              />
              <Tokens project={project} tokens={tokens.value ?? []} ask={() => (asking.value = "token")} load={load} />
              <Ends asking={asking} />
            </>
          ) : (
            <p class="quiet">Names, invitations and tokens are for those who manage the project.</p>
          )}
        </>
      )}
      {asking.value === "invite" && <InviteDialog project={project} onClose={close} onMade={() => void load()} />}
      {asking.value === "token" && <TokenDialog project={project} onClose={close} onMade={() => void load()} />}
      {asking.value === "rename" && (
        <NameDialog
          title={`Rename ${project}`}
          verb="Rename project"
          name={project}
          onClose={close}
          save={async (name) => {
            await renameProject(project, name);
            go({ page: "settings", project: name }, "replace");
          }}
        />
      )}
      {asking.value === "delete" && (
        <DeleteDialog
          project={project}
          onClose={close}
          remove={async () => {
            await deleteProject(project);
            toast(`${project} was deleted.`);
            go({ page: "projects" });
          }}
        />
      )}
    </ProjectFrame>
  );
}

function Trouble({ error, project, retry }: { error: ApiError; project: string; retry: () => void }) {
  if (error.status === 404) {
    return (
      <Message
        icon="search"
        title={`There is no project ${project} here`}
        actions={
          <a class="button primary" href={hrefOf({ page: "projects" })}>
            All projects
          </a>
        }
      >
        <p>It may have been renamed or deleted.</p>
      </Message>
    );
  }
  return (
    <Message title="The settings could not be read" actions={<Button onClick={retry}>Try again</Button>}>
      <p>{error.message}</p>
    </Message>
  );
}

interface ListProps {
  project: string;
  ask: () => void;
  load: () => Promise<void>;
}

function Invites({ project, invites, ask, load }: ListProps & { invites: Invite[] }) {
  const withdraw = async (invite: Invite) => {
    if (await tell("Could not withdraw it", () => revokeInvite(project, invite.id))) await load();
  };
  return (
    <section class="setting" aria-label="Invitations">
      <div class="setting-head">
        <h2>Invitations</h2>
        <Button icon="invite" onClick={ask}>
          Invite
        </Button>
      </div>
      {invites.length === 0 ? (
        <p class="quiet">No invitation is open.</p>
      ) : (
        <ul class="grants">
          {invites.map((invite) => (
            <li key={invite.id}>
              <span>
                <strong>{invite.role}</strong> {until(invite.expires_at)}
                <Made by={invite.created_by} at={invite.created_at} />
              </span>
              <Button kind="danger" onClick={() => void withdraw(invite)}>
                Withdraw
              </Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Tokens({ project, tokens, ask, load }: ListProps & { tokens: Token[] }) {
  const revoke = async (token: Token) => {
    if (await tell("Could not revoke it", () => revokeToken(project, token.id))) await load();
  };
  return (
    <section class="setting" aria-label="Tokens">
      <div class="setting-head">
        <h2>Tokens</h2>
        <Button icon="plus" onClick={ask}>
          New token
        </Button>
      </div>
      <p class="quiet">For programs and agents. A token is shown once, and ends its connections when it is revoked.</p>
      {tokens.length > 0 && (
        <ul class="grants">
          {tokens.map((token) => (
            <li key={token.id}>
              <span>
                <strong>{token.agent ?? token.name ?? token.id}</strong>
                {token.agent && " (agent)"} · {token.role} {until(token.expires_at)}
                <Made by={token.created_by} at={token.created_at} />
              </span>
              <Button kind="danger" onClick={() => void revoke(token)}>
                Revoke
              </Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Made({ by, at }: { by: string | Actor | null | undefined; at: Time | undefined }) {
  const name = nameOf(by);
  const when = ago(timeOf(at), Date.now());
  if (name === "" && when === "") return null;
  return <span class="quiet made">{["made", name && `by ${name}`, when].filter(Boolean).join(" ")}</span>;
}

function until(expires: number | string | null | undefined): string {
  const at = timeOf(expires);
  if (at === null) return "without an end";
  return at < Date.now() ? "has ended" : `ends ${ago(at, Date.now())}`;
}

function TokenDialog({ project, onClose, onMade }: { project: string; onClose: () => void; onMade: () => void }) {
  const name = useSignal("");
  const agent = useSignal(false);
  const role = useSignal<Role>("editor");
  const expires = useSignal("30d");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const made = useSignal<string | null>(null);
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      const answer = await createToken(project, {
        name: name.value.trim(),
        agent: agent.value,
        role: role.value,
        expires: expires.value || null,
      });
      made.value = answer.token;
      onMade();
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  if (made.value !== null) {
    return (
      <Dialog key="made" title="The new token" onClose={onClose}>
        <p>Copy it now: it is not shown again.</p>
        <CopyField label="Token" value={made.value} />
        <footer>
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title="New token" onClose={onClose}>
      <form onSubmit={(event) => void make(event)}>
        <Field label="Name" hint="What it is for; others see it at what is written with it.">
          <input
            class="input"
            required
            maxLength={80}
            value={name}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </Field>
        <Checkbox label="For an AI agent: its edits are marked as an agent's" value={agent} />
        <RoleField role={role.value} set={(value) => (role.value = value)} />
        <ExpiryField value={expires.value} set={(value) => (expires.value = value)} error={error.value} />
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy.value}>
            Make token
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

function Checkbox({ label, value }: { label: string; value: Signal<boolean> }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={value}
        onChange={(event) => {
          value.value = event.currentTarget.checked;
        }}
      />
      <span>{label}</span>
    </label>
  );
}

function Ends({ asking }: { asking: Signal<Asking> }) {
  return (
    <section class="setting" aria-label="Name and end">
      <h2>Name and end</h2>
      <div class="actions">
        <Button icon="rename" onClick={() => (asking.value = "rename")}>
          Rename
        </Button>
        <Button icon="trash" kind="danger" onClick={() => (asking.value = "delete")}>
          Delete
        </Button>
      </div>
    </section>
  );
}
