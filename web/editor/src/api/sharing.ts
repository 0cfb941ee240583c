/** Who else may come in: invitation links and tokens of a project. */

import { call } from "./http.ts";
import { projectPath } from "./projects.ts";
import type { Invite, Role, Token } from "./types.ts";

export const createInvite = (project: string, role: Role, expires: string | null): Promise<Invite> =>
  call(`${projectPath(project)}/invites`, { method: "POST", json: expires === null ? { role } : { role, expires } });

export const listInvites = async (project: string): Promise<Invite[]> =>
  (await call<{ invites: Invite[] }>(`${projectPath(project)}/invites`)).invites;

export const revokeInvite = (project: string, id: string): Promise<unknown> =>
  call(`${projectPath(project)}/invites/${encodeURIComponent(id)}`, { method: "DELETE" });

export interface NewToken {
  name: string;
  role: Role;
  agent: boolean;
  expires: string | null;
}

/** The answer holds the token itself, this once. */
export const createToken = (project: string, wanted: NewToken): Promise<Token & { token: string }> =>
  call(`${projectPath(project)}/tokens`, {
    method: "POST",
    json: {
      role: wanted.role,
      ...(wanted.agent ? { agent: wanted.name } : { name: wanted.name }),
      ...(wanted.expires !== null && { expires: wanted.expires }),
    },
  });

export const listTokens = async (project: string): Promise<Token[]> =>
  (await call<{ tokens: Token[] }>(`${projectPath(project)}/tokens`)).tokens;

export const revokeToken = (project: string, id: string): Promise<unknown> =>
  call(`${projectPath(project)}/tokens/${encodeURIComponent(id)}`, { method: "DELETE" });
