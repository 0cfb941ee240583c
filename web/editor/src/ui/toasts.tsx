/**
 * Short messages at the edge of the page. A plain one leaves by itself; one with an action stays longer, an error until it is
 * closed. Screen readers hear them.
 */

import { signal } from "@preact/signals";
import { messageOf } from "../api/http.ts";
import { Button, IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";

interface Action {
  label: string;
  run: () => void;
}

interface Toast {
  id: number;
  text: string;
  kind: "info" | "error";
  action: Action | null;
}

const PLAIN_MS = 4_000;
const ACTION_MS = 10_000;
const MOST = 4;

const toasts = signal<Toast[]>([]);
let last = 0;

export function toast(text: string, action: Action | null = null, kind: "info" | "error" = "info"): void {
  last += 1;
  const id = last;
  toasts.value = [...toasts.value.slice(1 - MOST), { id, text, kind, action }];
  if (kind === "info") setTimeout(() => dismiss(id), action === null ? PLAIN_MS : ACTION_MS);
}

export function toastError(error: unknown, doing = ""): void {
  toast(doing === "" ? messageOf(error) : `${doing}: ${messageOf(error)}`, null, "error");
}

/** Runs `work`; what it throws is shown, with what was being done. */
export async function tell(doing: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    toastError(error, doing);
    return false;
  }
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

export function Toasts() {
  return (
    <section class="toasts" aria-label="Messages" aria-live="polite">
      {toasts.value.map((each) => (
        <div key={each.id} class={`toast ${each.kind}`} role={each.kind === "error" ? "alert" : "status"}>
          {each.kind === "error" && <Icon name="warn" />}
          <span class="toast-text">{each.text}</span>
          {each.action && (
            <Button
              kind="quiet"
              onClick={() => {
                dismiss(each.id);
                each.action?.run();
              }}
            >
              {each.action.label}
            </Button>
          )}
          <IconButton icon="close" label="Dismiss" onClick={() => dismiss(each.id)} />
        </div>
      ))}
    </section>
  );
}
