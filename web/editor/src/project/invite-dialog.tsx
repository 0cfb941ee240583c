/** Makes a link that lets somebody in. */

import { useSignal } from "@preact/signals";
import { messageOf } from "../api/http.ts";
import { createInvite } from "../api/sharing.ts";
import type { Invite, Role } from "../api/types.ts";
import { Button, CopyField, Field } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";

export function InviteDialog({
  project,
  onClose,
  onMade,
}: {
  project: string;
  onClose: () => void;
  onMade?: () => void;
}) {
  const role = useSignal<Role>("editor");
  const expires = useSignal("7d");
  const made = useSignal<Invite | null>(null);
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      made.value = await createInvite(project, role.value, expires.value || null);
      onMade?.();
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  if (made.value?.url) {
    return (
      <Dialog key="made" title={`Invite to ${project}`} onClose={onClose}>
        <p>
          Whoever opens this link gives a name and is in, as {made.value.role}. Send it as you would send a key; you can
          withdraw it in the project's settings.
        </p>
        <CopyField label="Invitation link" value={made.value.url} />
        <footer>
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title={`Invite to ${project}`} onClose={onClose}>
      <form onSubmit={(event) => void make(event)}>
        <RoleField role={role.value} set={(value) => (role.value = value)} />
        <ExpiryField value={expires.value} set={(value) => (expires.value = value)} error={error.value} />
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy.value}>
            Make link
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

export function RoleField({ role, set }: { role: Role; set: (role: Role) => void }) {
  return (
    <Field label="May">
      <select class="input" value={role} onChange={(event) => set(event.currentTarget.value as Role)}>
        <option value="viewer">read (viewer)</option>
        <option value="editor">read and write (editor)</option>
        <option value="admin">read, write and manage (admin)</option>
      </select>
    </Field>
  );
}

export function ExpiryField({
  value,
  set,
  error,
}: {
  value: string;
  set: (value: string) => void;
  error: string | null;
}) {
  return (
    <Field label="Good for" error={error}>
      <select class="input" value={value} onChange={(event) => set(event.currentTarget.value)}>
        <option value="1h">an hour</option>
        <option value="1d">a day</option>
        <option value="7d">a week</option>
        <option value="30d">30 days</option>
        <option value="">as long as it is not withdrawn</option>
      </select>
    </Field>
  );
}
