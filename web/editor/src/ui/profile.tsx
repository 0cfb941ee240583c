/** Your name, and the address that commits name you with. */

import { signal, useSignal } from "@preact/signals";
import { ApiError, messageOf } from "../api/http.ts";
import { renameMe } from "../api/session.ts";
import { me, renameRefused, whoAmI } from "../session.ts";
import { Button, Field } from "./controls.tsx";
import { Dialog } from "./dialog.tsx";

const editing = signal(false);

export function editProfile(): void {
  editing.value = true;
}

export function ProfileHost() {
  return editing.value && me.value ? <ProfileDialog /> : null;
}

function ProfileDialog() {
  const name = useSignal(me.value?.actor.name ?? "");
  const email = useSignal(me.value?.actor.email ?? "");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const close = () => {
    editing.value = false;
  };
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      await renameMe({ name: name.value.trim(), email: email.value.trim() || null });
      await whoAmI();
      close();
    } catch (thrown) {
      error.value = messageOf(thrown);
      if (thrown instanceof ApiError && thrown.status === 403) renameRefused.value = true;
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title="Your name" onClose={close}>
      <form onSubmit={(event) => void save(event)}>
        <Field label="Name" hint="Others see it at your cursor, and commits name you with it.">
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
        <Field
          label="E-mail (optional)"
          hint="Only for commits: it makes you a co-author whom git hosts recognise."
          error={error.value}
        >
          <input
            class="input"
            type="email"
            value={email}
            onInput={(event) => {
              email.value = event.currentTarget.value;
            }}
          />
        </Field>
        <footer>
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy.value}>
            Save
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
