/** Light or dark: what the system says, until somebody chooses; the choice is kept in this browser. */

import { computed, effect, signal } from "@preact/signals";
import { keep, kept } from "./kept.ts";

export type Theme = "light" | "dark";
export type Choice = Theme | "system";

const query = matchMedia("(prefers-color-scheme: dark)");
const system = signal<Theme>(query.matches ? "dark" : "light");
export const choice = signal<Choice>(asChoice(kept("theme")));
export const theme = computed<Theme>(() => (choice.value === "system" ? system.value : choice.value));

export function startTheme(): void {
  query.addEventListener("change", () => {
    system.value = query.matches ? "dark" : "light";
  });
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    keep("theme", choice.value === "system" ? null : choice.value);
  });
}

export function toggleTheme(): void {
  const next = theme.value === "dark" ? "light" : "dark";
  choice.value = next === system.value ? "system" : next;
}

function asChoice(text: string | null): Choice {
  return text === "light" || text === "dark" ? text : "system";
}
