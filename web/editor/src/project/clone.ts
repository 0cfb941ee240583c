/** How a project is cloned, and who can do it. PURE. */

import type { Status } from "../api/types.ts";

export interface Clone {
  /** Null where it is of no use to whoever asks. */
  command: string | null;
  /** Of a repository that lies on the server's machine: where. */
  place: string | null;
}

/** Null while nothing is known of a repository. `reaches`: whoever asks can reach the files of the server's machine. */
export function cloneOf(status: Status | null, reaches: boolean): Clone | null {
  const told = status?.remote?.clone;
  if (!told) return null;
  const command = told.startsWith("git ") ? told : `git clone ${told}`;
  if (/\s\w[\w+.-]*:\/\//.test(command)) return { command, place: null };
  return { command: reaches ? command : null, place: status?.remote?.path ?? null };
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
