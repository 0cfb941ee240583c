/** The login: how to come in, and a field for a token. The same form stands in a dialog when a login ends in the middle of work. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, messageOf } from "../api/http.ts";
import { logIn } from "../api/session.ts";
import { goBelow } from "../navigation.ts";
import { me, whoAmI } from "../session.ts";
import { Button, Field } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Mark } from "../ui/icons.tsx";

export function Login({ next }: { next: string | null }) {
  const inside = me.value;
  useEffect(() => {
    document.title = "Log in — Quire";
    if (inside) goBelow(next);
  }, [inside]);
  return (
    <main class="door">
      <div class="door-card">
        <Mark size={44} />
        <h1>Log in to Quire</h1>
        <p>
          Open the address that <code>quire serve</code> printed when it started, or run <code>quire open</code> on the
          server's machine: both log this browser in.
        </p>
        <p>Somebody else's server? Ask for an invitation link, or paste the token that you were given.</p>
        <TokenForm />
      </div>
    </main>
  );
}

export function ExpiredDialog() {
  return (
    <Dialog title="You are no longer logged in" onClose={() => undefined} dismissible={false}>
      <p>
        Your login ended or was revoked. Nothing that you typed is lost: it is kept in this tab. Log in again here, or
        open a fresh link from <code>quire open</code> in another tab and come back.
      </p>
      <TokenForm />
      <footer>
        <Button onClick={() => void whoAmI()}>I have logged in elsewhere</Button>
      </footer>
    </Dialog>
  );
}

function TokenForm() {
  const token = useSignal("");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      await logIn(token.value.trim());
      await whoAmI();
    } catch (thrown) {
      const refused = thrown instanceof ApiError && (thrown.status === 401 || thrown.status === 403);
      error.value = refused ? "This token is not known here, or it has ended or been revoked." : messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Field label="Token" error={error.value}>
        <input
          class="input mono"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={token}
          onInput={(event) => {
            token.value = event.currentTarget.value;
          }}
        />
      </Field>
      <Button type="submit" kind="primary" busy={busy.value}>
        Log in
      </Button>
    </form>
  );
}
