/** How a project is cloned, and who can do it. PURE. */

import type { Status } from "../api/types.ts";

export interface Clone {
  /** Null where it is of no use to whoever asks. */
  command: string | null;
  /** Of a repository that lies on the server's machine: where. */
  place: string | null;
  /** Quire serves it: git asks for a password, which is a token, and takes pushes. */
  served: boolean;
}

/** Null while nothing is known of a repository. `reaches`: whoever asks can reach the files of the server's machine. */
export function cloneOf(status: Status | null, reaches: boolean): Clone | null {
  if (status?.git) return { command: `git clone ${status.git}`, place: null, served: true };
  const told = status?.remote?.clone;
  if (!told) return null;
  const command = told.startsWith("git ") ? told : `git clone ${told}`;
  if (/\s\w[\w+.-]*:\/\//.test(command)) return { command, place: null, served: false };
  return { command: reaches ? command : null, place: status?.remote?.path ?? null, served: false };
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
