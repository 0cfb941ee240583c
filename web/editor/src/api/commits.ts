/** What is not yet committed, and the commits that were made. */

import { encodePath } from "../base.ts";
import { call } from "./http.ts";
import { projectPath } from "./projects.ts";
import type { Change, Snapshot, Status } from "./types.ts";

export const fetchChanges = async (project: string): Promise<Change[]> =>
  (await call<{ changes: Change[] }>(`${projectPath(project)}/changes`)).changes;

export const discardChange = (project: string, path: string): Promise<unknown> =>
  call(`${projectPath(project)}/changes/${encodePath(path)}`, { method: "DELETE" });

export const fetchStatus = (project: string): Promise<Status> => call(`${projectPath(project)}/status`);

/** Null before the first. */
export const newestSnapshot = async (project: string): Promise<Snapshot | null> =>
  (await call<{ snapshots: Snapshot[] }>(`${projectPath(project)}/snapshots?limit=1`)).snapshots[0] ?? null;

export const fetchSnapshots = async (project: string): Promise<Snapshot[]> =>
  (await call<{ snapshots: Snapshot[] }>(`${projectPath(project)}/snapshots`)).snapshots;

/** Commits now: everything, or `paths` only. */
export async function commit(project: string, message: string, paths: readonly string[] | null): Promise<Snapshot> {
  const json = { ...(message !== "" && { message }), ...(paths !== null && { paths }) };
  const answer = await call<Snapshot | { snapshot: Snapshot }>(`${projectPath(project)}/snapshots`, {
    method: "POST",
    json,
  });
  return "snapshot" in answer ? answer.snapshot : answer;
}
