/** Dialogs that ask for a project's name: to give one, to change it, and to be sure before one is deleted. */

import { useSignal } from "@preact/signals";
import { messageOf } from "../api/http.ts";
import { Button, Field } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";

export const NAME_PATTERN = "[a-z0-9][a-z0-9._\\-]*";
export const NAME_HINT = "Small letters, digits, dots, dashes and underscores.";

/** The nearest name that is allowed: for a repository's or a folder's own name. */
export function asProjectName(text: string): string {
  const plain = text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\.(git|zip|tar|tgz|tar\.gz|sqlite)$/, "")
    .replace(/[^a-z0-9._-]+/g, "-");
  return plain
    .replace(/^[^a-z0-9]+/, "")
    .replace(/[-._]+$/, "")
    .slice(0, 100);
}

interface NameDialogProps {
  title: string;
  verb: string;
  name?: string;
  offerExample?: boolean;
  onClose: () => void;
  save: (name: string, example: boolean) => Promise<void>;
}

export function NameDialog({ title, verb, name: before = "", offerExample = false, onClose, save }: NameDialogProps) {
  const name = useSignal(before);
  const example = useSignal(false);
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      await save(name.value.trim(), example.value);
      onClose();
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <Field label="Name" hint={NAME_HINT} error={error.value}>
          <input
            class="input"
            required
            maxLength={100}
            pattern={NAME_PATTERN}
            title={NAME_HINT}
            spellcheck={false}
            autocomplete="off"
            value={name}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </Field>
        {offerExample && (
          <label class="check">
            <input
              type="checkbox"
              checked={example}
              onChange={(event) => {
                example.value = event.currentTarget.checked;
              }}
            />
            <span>Put a few example files in</span>
          </label>
        )}
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy.value}>
            {verb}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

interface DeleteDialogProps {
  project: string;
  onClose: () => void;
  remove: () => Promise<void>;
}

export function DeleteDialog({ project, onClose, remove }: DeleteDialogProps) {
  const typed = useSignal("");
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    try {
      await remove();
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title={`Delete ${project}?`} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p>
          All its files, their history and its invitations go, for everybody. Its git repository stays in the server's
          data directory. This cannot be undone here.
        </p>
        <Field label={`Type ${project} to be sure`} error={error.value}>
          <input
            class="input"
            spellcheck={false}
            autocomplete="off"
            value={typed}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
            }}
          />
        </Field>
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="danger" disabled={typed.value !== project} busy={busy.value}>
            Delete project
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
