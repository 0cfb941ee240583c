/** What both sides changed: seen, decided, brought back; and what becomes of it by itself. */

import { apiUrl } from "../base.ts";
import { ApiError, call } from "./http.ts";
import { projectPath } from "./projects.ts";
import type { Conflict, ConflictInFull, Rule } from "./types.ts";

const conflictPath = (project: string, id: string): string =>
  `${projectPath(project)}/conflicts/${encodeURIComponent(id)}`;

/** A server without merging has no list of them, and none to list. */
export async function fetchConflicts(project: string, state: "open" | "ended" = "open"): Promise<Conflict[]> {
  try {
    return (await call<{ conflicts: Conflict[] }>(`${projectPath(project)}/conflicts?state=${state}`)).conflicts;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

export const fetchConflict = (project: string, id: string): Promise<ConflictInFull> => call(conflictPath(project, id));

/** The bytes of a side; `at` makes the address change with them. */
export const sideUrl = (project: string, id: string, side: "base" | "ours" | "theirs", at: string): string =>
  `${apiUrl(`${conflictPath(project, id)}/sides/${side}`)}?v=${at}`;

export type Decision = { take: "ours" | "theirs" | "both" } | { text: string; sha: string };

export const decide = (project: string, id: string, decision: Decision): Promise<ConflictInFull> =>
  call(conflictPath(project, id), { method: "POST", json: decision });

export const restoreSide = (
  project: string,
  id: string,
  side: "base" | "ours" | "theirs",
  whole: boolean,
): Promise<{ path: string }> => call(`${conflictPath(project, id)}/restore`, { method: "POST", json: { side, whole } });

export const fetchPolicies = async (project: string): Promise<Rule[]> =>
  (await call<{ policies: Rule[] }>(`${projectPath(project)}/policies`)).policies;

export const putPolicies = async (project: string, policies: readonly Rule[]): Promise<Rule[]> =>
  (await call<{ policies: Rule[] }>(`${projectPath(project)}/policies`, { method: "PUT", json: { policies } }))
    .policies;
