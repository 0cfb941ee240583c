/**
 * A repository of GitHub's, searched and chosen. What is typed is both: words to search for, and a name (or an address) in full.
 * The list has the same height whatever is in it.
 */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { messageOf } from "../api/http.ts";
import { listRepositories, type Way } from "../api/remote.ts";
import type { Repository } from "../api/types.ts";
import { ago, timeOf } from "../format.ts";
import { Button, Field, Spinner } from "../ui/controls.tsx";
import { repositoryOf } from "./words.ts";

const TYPING_MS = 250;

interface PickerProps {
  project: string;
  /** Null: nothing can be listed (yet), and a name is typed. */
  way: Way | null;
  /** The name that is chosen. */
  chosen: Signal<string>;
  /** The branch that it has of its own, "" where that is not known. */
  branch: Signal<string>;
  error: string | null;
}

export function RepositoryPicker({ project, way, chosen, branch, error }: PickerProps) {
  const query = useSignal("");
  const found = useSignal<Repository[]>([]);
  const cursor = useSignal<string | null>(null);
  const busy = useSignal(false);
  const trouble = useSignal<string | null>(null);
  const key = way === null ? null : JSON.stringify(way);
  const search = async (after: string | null, signal: AbortSignal) => {
    if (way === null) return;
    busy.value = true;
    trouble.value = null;
    try {
      const page = await listRepositories(project, way, query.value, after, signal);
      found.value = after === null ? page.repositories : [...found.value, ...page.repositories];
      cursor.value = page.cursor;
    } catch (thrown) {
      if (signal.aborted) return;
      trouble.value = messageOf(thrown);
      if (after === null) found.value = [];
    }
    busy.value = false;
  };
  useEffect(() => {
    found.value = [];
    cursor.value = null;
    trouble.value = null;
    busy.value = key !== null;
    if (key === null) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => void search(null, stop.signal), TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key, query.value]);
  const choose = (each: Repository) => {
    chosen.value = each.name;
    branch.value = each.default_branch;
  };
  return (
    <>
      <Field label="Repository" hint="Search by name, or give it as owner/name or by its address." error={error}>
        <input
          class="input"
          required
          spellcheck={false}
          autocomplete="off"
          placeholder="owner/name"
          value={chosen}
          onInput={(event) => {
            const text = event.currentTarget.value;
            query.value = repositoryOf(text);
            chosen.value = text;
            branch.value = "";
          }}
        />
      </Field>
      {way !== null && (
        <fieldset class="repositories" aria-label="Repositories">
          {found.value.map((each) => (
            <Row key={each.id} each={each} chosen={chosen.value === each.name} choose={choose} />
          ))}
          <p class="repositories-end" role="status">
            {trouble.value !== null ? (
              <span class="field-error">{trouble.value}</span>
            ) : busy.value ? (
              <>
                <Spinner /> Asking GitHub…
              </>
            ) : found.value.length === 0 && cursor.value === null ? (
              "No repository of that name can be reached."
            ) : (
              cursor.value !== null && (
                <Button kind="quiet" onClick={() => void search(cursor.value, new AbortController().signal)}>
                  Look further
                </Button>
              )
            )}
          </p>
        </fieldset>
      )}
    </>
  );
}

interface RowProps {
  each: Repository;
  chosen: boolean;
  choose: (each: Repository) => void;
}

function Row({ each, chosen, choose }: RowProps) {
  const note = each.archived
    ? "archived"
    : each.may_commit
      ? each.private
        ? "private"
        : "public"
      : "can only be read";
  return (
    <label class="repository">
      <input
        type="radio"
        name="repository"
        checked={chosen}
        disabled={!each.may_commit}
        onChange={() => choose(each)}
      />
      <span class="repository-name">{each.name}</span> <span class="quiet">{note}</span>{" "}
      <span class="quiet repository-when">{ago(timeOf(each.pushed_at), Date.now())}</span>
    </label>
  );
}
