/** An invitation: what it opens, and who comes in. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, messageOf } from "../api/http.ts";
import { acceptInvite, lookAtInvite } from "../api/session.ts";
import { keep, kept } from "../kept.ts";
import { go } from "../navigation.ts";
import { me, whoAmI } from "../session.ts";
import { Button, Field, Loading } from "../ui/controls.tsx";
import { Mark } from "../ui/icons.tsx";
import { Message } from "../ui/shell.tsx";

const WHAT: Record<string, string> = {
  viewer: "read it, and watch others write",
  editor: "read and write it, together with others",
  admin: "read, write and manage it",
};

type Found = { project: string; role: string };

export function Join({ invite }: { invite: string }) {
  const found = useSignal<Found | null>(null);
  const error = useSignal<ApiError | null>(null);
  const look = () => {
    error.value = null;
    lookAtInvite(invite).then(
      (answer) => {
        found.value = answer;
      },
      (thrown: unknown) => {
        error.value = thrown instanceof ApiError ? thrown : new ApiError(0, "error", messageOf(thrown));
      },
    );
  };
  useEffect(() => {
    document.title = "Invitation — Quire";
    look();
  }, [invite]);
  if (error.value) return <BadInvite error={error.value} retry={look} />;
  if (!found.value) return <Loading what="the invitation" />;
  return (
    <main class="door">
      <div class="door-card">
        <Mark size={44} />
        <h1>
          You are invited to <em>{found.value.project}</em>
        </h1>
        <p>With this link you may {WHAT[found.value.role] ?? `come in as ${found.value.role}`}.</p>
        <JoinForm invite={invite} />
      </div>
    </main>
  );
}

function JoinForm({ invite }: { invite: string }) {
  const name = useSignal(me.value?.actor.name ?? kept("name") ?? "");
  const email = useSignal(me.value?.actor.email ?? kept("email") ?? "");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      const { project } = await acceptInvite(invite, name.value.trim(), email.value.trim() || null);
      keep("name", name.value.trim());
      keep("email", email.value.trim() || null);
      await whoAmI();
      go({ page: "project", project, path: null, line: null }, "replace");
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Field label="Your name" hint="Others see it at your cursor.">
        <input
          class="input"
          required
          maxLength={80}
          autocomplete="name"
          value={name}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </Field>
      <Field
        label="E-mail (optional)"
        hint="What you write ends in git commits. With an address they name you as a co-author, so that git hosts recognise you. It is used for nothing else, and anybody who can read the repository can read it."
        error={error.value}
      >
        <input
          class="input"
          type="email"
          autocomplete="email"
          value={email}
          onInput={(event) => {
            email.value = event.currentTarget.value;
          }}
        />
      </Field>
      <Button type="submit" kind="primary" busy={busy.value}>
        Join
      </Button>
    </form>
  );
}

function BadInvite({ error, retry }: { error: ApiError; retry: () => void }) {
  if (error.status === 0 || error.status >= 500) {
    return (
      <Message
        icon="offline"
        title="The invitation could not be opened"
        actions={
          <Button kind="primary" onClick={retry}>
            Try again
          </Button>
        }
      >
        <p>{error.message}</p>
      </Message>
    );
  }
  return (
    <Message title="This invitation is no longer good">
      <p>It has ended, was withdrawn, or the link was cut short on its way to you.</p>
      <p>Ask whoever sent it for a new one.</p>
    </Message>
  );
}
