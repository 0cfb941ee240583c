/** What becomes of conflicts by itself: rules per path pattern, in the order in which they are asked. */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchPolicies, putPolicies } from "../api/conflicts.ts";
import { messageOf } from "../api/http.ts";
import type { Policy, ProjectEvent, Rule } from "../api/types.ts";
import { canManage } from "../session.ts";
import { Button, IconButton } from "../ui/controls.tsx";
import { toast } from "../ui/toasts.tsx";

const SAYS: Record<Policy, string> = {
  manual: "people decide",
  ours: "ours wins",
  theirs: "theirs wins",
  branch: "theirs wins, ours goes to a branch",
};

export function Rules({ project, event }: { project: string; event: ReadonlySignal<ProjectEvent | null> }) {
  const saved = useSignal<Rule[]>([]);
  const rules = useSignal<Rule[]>([]);
  const error = useSignal("");
  const busy = useSignal(false);
  const changed = JSON.stringify(rules.value) !== JSON.stringify(saved.value);
  const load = async () => {
    try {
      const found = await fetchPolicies(project);
      if (JSON.stringify(rules.peek()) === JSON.stringify(saved.peek())) rules.value = found;
      saved.value = found;
      error.value = "";
    } catch (thrown) {
      error.value = messageOf(thrown);
    }
  };
  useEffect(() => void load(), [project]);
  const heard = event.value;
  useEffect(() => {
    if (heard?.kind === "policies") void load();
  }, [heard]);
  const set = (index: number, change: Partial<Rule>) => {
    rules.value = rules.peek().map((rule, at) => (at === index ? { ...rule, ...change } : rule));
  };
  const move = (index: number, by: number) => {
    const next = [...rules.peek()];
    const [rule] = next.splice(index, 1);
    if (rule) next.splice(index + by, 0, rule);
    rules.value = next;
  };
  const save = async () => {
    busy.value = true;
    try {
      saved.value = await putPolicies(project, rules.peek());
      rules.value = saved.peek();
      error.value = "";
      toast("The rules hold for conflicts that are found from now on.");
    } catch (thrown) {
      error.value = messageOf(thrown);
    } finally {
      busy.value = false;
    }
  };
  return (
    <section class="rules" aria-labelledby="rules-title">
      <h2 id="rules-title">What is decided by itself</h2>
      <p class="quiet">
        The first rule whose pattern means a file says what becomes of a conflict in it; without one, people decide.
        Patterns are those of a <code>.gitignore</code>. Whatever loses is kept, and can be brought back.
      </p>
      {canManage.value ? (
        <form
          onSubmit={(each) => {
            each.preventDefault();
            void save();
          }}
        >
          <ol aria-label="Rules">
            {rules.value.map((rule, index) => (
              <li key={index}>
                <input
                  class="input mono"
                  aria-label={`Pattern of rule ${index + 1}`}
                  placeholder="docs/**/*.md"
                  value={rule.pattern}
                  onInput={(each) => set(index, { pattern: each.currentTarget.value })}
                />
                <select
                  class="input"
                  aria-label={`What rule ${index + 1} decides`}
                  value={rule.policy}
                  onChange={(each) => set(index, { policy: each.currentTarget.value as Policy })}
                >
                  {(Object.keys(SAYS) as Policy[]).map((policy) => (
                    <option key={policy} value={policy}>
                      {SAYS[policy]}
                    </option>
                  ))}
                </select>
                <IconButton
                  icon="up"
                  label={`Move rule ${index + 1} up`}
                  disabled={index === 0}
                  onClick={() => move(index, -1)}
                />
                <IconButton
                  icon="down"
                  label={`Move rule ${index + 1} down`}
                  disabled={index === rules.value.length - 1}
                  onClick={() => move(index, 1)}
                />
                <IconButton
                  icon="trash"
                  label={`Remove rule ${index + 1}`}
                  onClick={() => (rules.value = rules.peek().filter((_, at) => at !== index))}
                />
              </li>
            ))}
          </ol>
          {error.value !== "" && (
            <p class="field-error" role="alert">
              {error.value}
            </p>
          )}
          <p class="actions">
            <Button icon="plus" onClick={() => (rules.value = [...rules.peek(), { pattern: "", policy: "theirs" }])}>
              Add a rule
            </Button>
            {changed && (
              <>
                <Button type="submit" kind="primary" busy={busy.value}>
                  Save rules
                </Button>
                <Button kind="quiet" onClick={() => (rules.value = saved.peek())}>
                  Undo
                </Button>
              </>
            )}
          </p>
        </form>
      ) : (
        <ul>
          {rules.value.length === 0 && <li class="quiet">No rules: people decide every conflict.</li>}
          {rules.value.map((rule, index) => (
            <li key={index}>
              <code>{rule.pattern}</code> {SAYS[rule.policy]}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
