/** Where a project's git is, connecting it elsewhere, and what of GitHub can be reached for that. */

import { call } from "./http.ts";
import { projectPath } from "./projects.ts";
import type {
  ConnectedRemote,
  GitHub,
  Installation,
  Manifest,
  Pulled,
  Remote,
  RemotePreview,
  RepositoryPage,
  Take,
  WantedRemote,
} from "./types.ts";

const remotePath = (project: string): string => `${projectPath(project)}/remote`;

export const fetchRemote = (project: string): Promise<Remote> => call(remotePath(project));

export const previewRemote = (project: string, wanted: WantedRemote): Promise<RemotePreview> =>
  call(`${remotePath(project)}/preview`, { method: "POST", json: wanted });

export const connectRemote = (project: string, wanted: WantedRemote, take: Take | null): Promise<ConnectedRemote> =>
  call(remotePath(project), { method: "PUT", json: take === null ? wanted : { ...wanted, take } });

export const disconnectRemote = (project: string): Promise<ConnectedRemote> =>
  call(remotePath(project), { method: "DELETE" });

export const pullNow = (project: string): Promise<Pulled> => call(`${projectPath(project)}/pull`, { method: "POST" });

export const fetchGitHub = (): Promise<GitHub> => call("github/app");

export const makeManifest = (wanted: { project: string; organization?: string }): Promise<Manifest> =>
  call("github/app/manifest", { method: "POST", json: wanted });

export const forgetApp = (): Promise<void> => call("github/app", { method: "DELETE" });

export const listInstallations = async (project: string): Promise<Installation[]> =>
  (await call<{ installations: Installation[] }>(`github/installations?project=${encodeURIComponent(project)}`))
    .installations;

export const allowInstallation = (id: number, projects: readonly string[]): Promise<Installation> =>
  call(`github/installations/${id}`, { method: "PUT", json: { projects } });

/** By way of an installation of the App, of a token, or (root) of the server's own token. */
export type Way = { by: "app"; installation: number } | { by: "token"; token: string } | { by: "server" };

export function listRepositories(
  project: string,
  way: Way,
  search: string,
  cursor: string | null,
  signal: AbortSignal,
): Promise<RepositoryPage> {
  const query = new URLSearchParams({ project, search });
  if (way.by === "app") query.set("installation", String(way.installation));
  if (cursor !== null) query.set("cursor", cursor);
  const headers = way.by === "token" ? { "X-GitHub-Token": way.token } : {};
  return call(`github/repositories?${query}`, { headers, signal });
}
