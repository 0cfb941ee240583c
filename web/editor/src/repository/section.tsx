/**
 * Where a project is committed, and how that stands: kept up to date while it is looked at. Every line is always there, so that
 * nothing moves when its words change.
 */

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { fetchStatus, newestSnapshot } from "../api/commits.ts";
import { ApiError, messageOf } from "../api/http.ts";
import { disconnectRemote, fetchRemote, pullNow } from "../api/remote.ts";
import type { Remote, Snapshot, Status } from "../api/types.ts";
import { counted, timeOf } from "../format.ts";
import { hrefOf } from "../navigation.ts";
import { cloneOf } from "../project/clone.ts";
import { CloneCommand } from "../project/clone-command.tsx";
import { troubleOf } from "../project/trouble.ts";
import { canManage, canWrite, mayReachServer } from "../session.ts";
import { Button, CopyField } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icons.tsx";
import { useNow } from "../ui/now.ts";
import { ConnectDialog } from "./connect.tsx";
import {
  budgetLeft,
  howItStands,
  lastCommit,
  looking,
  nextCommit,
  throughWhat,
  whatCame,
  whereIs,
  whichPart,
} from "./words.ts";

const REFRESH_MS = 5_000;

export interface Standing {
  remote: Remote;
  status: Status;
  newest: Snapshot | null;
}

export async function fetchStanding(project: string): Promise<Standing> {
  const [remote, status, newest] = await Promise.all([
    fetchRemote(project),
    fetchStatus(project),
    newestSnapshot(project),
  ]);
  return { remote, status, newest };
}

type Asking = "connect" | "disconnect" | null;

interface SectionProps {
  project: string;
  standing: Signal<Standing | null>;
  /** What is to be said above it: what GitHub has brought, or what came of connecting. */
  notice: Signal<{ good: boolean; text: string } | null>;
}

export function RepositorySection({ project, standing, notice }: SectionProps) {
  const asking = useSignal<Asking>(null);
  const busy = useSignal(false);
  const error = useSignal<string | null>(null);
  const load = async () => {
    try {
      standing.value = await fetchStanding(project);
    } catch (thrown) {
      // What is shown stays; the banner says that the server is away.
      if (!(thrown instanceof ApiError)) throw thrown;
    }
  };
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void load();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [project]);
  const pull = async () => {
    busy.value = true;
    error.value = null;
    try {
      const pulled = await pullNow(project);
      const files =
        pulled.merged.length === 0 ? "Nothing new was pushed." : `${counted(pulled.merged.length, "file")} came in.`;
      notice.value = pulled.state === "failed" ? { good: false, text: pulled.detail } : { good: true, text: files };
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
    busy.value = false;
    await load();
  };
  const at = standing.value;
  if (at === null) return null;
  const { remote } = at;
  const close = () => {
    asking.value = null;
  };
  const done = (said: string) => {
    notice.value = { good: true, text: said };
    void load();
  };
  return (
    <section class="setting" aria-label="Repository">
      <h2>Repository</h2>
      {notice.value && (
        <p class={notice.value.good ? "said good" : "said bad"} role="status">
          <Icon name={notice.value.good ? "check" : "warn"} /> {notice.value.text}
        </p>
      )}
      <Facts project={project} standing={at} />
      <Clone project={project} standing={at} />
      <div class="actions">
        {canWrite.value && (
          <Button icon="download" busy={busy.value} onClick={() => void pull()}>
            Pull now
          </Button>
        )}
        {canManage.value && (
          <Button icon="git" kind={remote.local ? "primary" : "plain"} onClick={() => (asking.value = "connect")}>
            {remote.local ? "Connect to a repository…" : "Change…"}
          </Button>
        )}
        {canManage.value && !remote.local && (
          <Button kind="danger" onClick={() => (asking.value = "disconnect")}>
            Disconnect…
          </Button>
        )}
      </div>
      {error.value && (
        <p class="field-error" role="alert">
          {error.value}
        </p>
      )}
      {asking.value === "connect" && <ConnectDialog project={project} remote={remote} onClose={close} onDone={done} />}
      {asking.value === "disconnect" && (
        <DisconnectDialog project={project} remote={remote} onClose={close} onDone={done} />
      )}
    </section>
  );
}

function Facts({ project, standing }: { project: string; standing: Standing }) {
  const now = useNow(true);
  const { remote, status, newest } = standing;
  const { text, link } = whereIs(remote);
  const how = howItStands(status);
  const part = whichPart(remote);
  return (
    <dl class="standing">
      <Fact name="Where">
        {link !== null ? <a href={link}>{text}</a> : remote.local ? text : <code>{text}</code>}
        {throughWhat(remote) !== "" && <span class="quiet"> {throughWhat(remote)}</span>}
      </Fact>
      <Fact name="Branch">
        <code>{remote.branch}</code>
        {remote.pull_request && <span class="quiet"> by way of one pull request</span>}
      </Fact>
      {(!remote.local || part !== "everything") && <Fact name="Part">{part}</Fact>}
      <Fact name="State">
        <span class={`tone ${how.tone}`}>{how.text}</span>
        {status.conflicts > 0 && (
          <>
            {" "}
            <a href={hrefOf({ page: "conflicts", project, id: null })}>Decide</a>
          </>
        )}
      </Fact>
      <Fact name="Last commit">{lastCommit(newest, status, now)}</Fact>
      <Fact name="Next commit">{nextCommit(status, now)}</Fact>
      <Fact name="Pushes">{looking(status, now) || "Brought before each commit"}</Fact>
      {remote.kind === "github" && <Fact name="GitHub">{budgetLeft(status, now) || "Not asked yet"}</Fact>}
      {(status.pull_requests ?? []).map((each) => (
        <Fact key={each.branch} name="Pull request">
          {each.url === null ? <code>{each.branch}</code> : <a href={each.url}>#{each.number}</a>}{" "}
          <span class="quiet">
            {counted(each.files, "file")} {each.closed ? "held back: it was closed without being merged" : "wait in it"}
          </span>
        </Fact>
      ))}
      {status.detail && status.state !== "idle" && <Detail detail={status.detail} />}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Detail({ detail }: { detail: string }) {
  const { sentence, more, command } = troubleOf(detail);
  return (
    <div class="standing-detail" role="status">
      <dt>What to do</dt>
      <dd>
        {sentence} {more}
        {command && <CopyField label="Command" value={command} />}
      </dd>
    </div>
  );
}

function Clone({ project, standing }: { project: string; standing: Standing }) {
  const clone = cloneOf(standing.status, mayReachServer());
  if (clone?.command) {
    return (
      <>
        <p class="quiet">
          Every commit can be cloned
          {clone.place && ", on the machine that the server runs on"}.
        </p>
        <CloneCommand clone={clone} project={project} />
      </>
    );
  }
  return (
    <p class="quiet">
      {clone
        ? "Every commit is in a repository on the server's machine. Whoever runs the server can clone it there, or give you a copy."
        : "No repository can be cloned from here."}
    </p>
  );
}

interface DisconnectDialogProps {
  project: string;
  remote: Remote;
  onClose: () => void;
  onDone: (said: string) => void;
}

function DisconnectDialog({ project, remote, onClose, onDone }: DisconnectDialogProps) {
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const disconnect = async () => {
    busy.value = true;
    error.value = null;
    try {
      onDone(whatCame(await disconnectRemote(project)));
      onClose();
    } catch (thrown) {
      error.value = messageOf(thrown);
      busy.value = false;
    }
  };
  return (
    <Dialog title={`Disconnect from ${remote.repository}?`} onClose={onClose} dismissible={!busy.value}>
      <p>
        The project keeps its files and goes on in its own repository on this server: the next commit makes that what
        the project is. Nothing is changed in <strong>{remote.repository}</strong>
        {remote.credential === "token" && ", and the token is forgotten"}. What others push there does not come in any
        more.
      </p>
      {timeOf(remote.connected_at) !== null && (
        <p>To go back, connect it again: files that are the same then need no choice.</p>
      )}
      {error.value && (
        <p class="form-error" role="alert">
          {error.value}
        </p>
      )}
      <footer>
        <Button onClick={onClose} disabled={busy.value}>
          Cancel
        </Button>
        <Button kind="danger" busy={busy.value} onClick={() => void disconnect()}>
          Disconnect
        </Button>
      </footer>
    </Dialog>
  );
}
