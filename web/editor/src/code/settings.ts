/** What somebody chose for all editors of this browser, and what a text itself says about its indentation. */

import { signal } from "@preact/signals";
import { keep, kept } from "../kept.ts";

export type Wrap = "on" | "off" | "auto";

export const wrap = signal<Wrap>(asWrap(kept("wrap")));

export function setWrap(value: Wrap): void {
  wrap.value = value;
  keep("wrap", value === "auto" ? null : value);
}

function asWrap(text: string | null): Wrap {
  return text === "on" || text === "off" ? text : "auto";
}

export interface Indent {
  tabs: boolean;
  size: number;
}

export function indentName(indent: Indent): string {
  return indent.tabs ? `Tabs: ${indent.size}` : `Spaces: ${indent.size}`;
}

/** What most of the first lines are indented with: the smallest step that occurs often. */
export function indentOf(text: string): Indent {
  const steps = new Map<number, number>();
  let tabs = 0;
  let spaces = 0;
  let before = 0;
  for (const line of text.slice(0, 60_000).split("\n", 1_000)) {
    const lead = /^[ \t]*/.exec(line)?.[0] ?? "";
    if (lead.length === line.length) continue;
    if (lead.startsWith("\t")) tabs += 1;
    else if (lead.length > 1) spaces += 1;
    const step = Math.abs(lead.length - before);
    if (!lead.includes("\t") && step > 1 && step <= 8) steps.set(step, (steps.get(step) ?? 0) + 1);
    before = lead.length;
  }
  if (tabs > spaces) return { tabs: true, size: 4 };
  const best = [...steps].filter(([step]) => step === 2 || step === 4 || step === 8).sort((a, b) => b[1] - a[1])[0];
  return { tabs: false, size: best?.[0] ?? 2 };
}
