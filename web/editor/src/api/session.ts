/** Who I am to the server: the cookie behind this page. */

import { call } from "./http.ts";
import type { Me } from "./types.ts";

export const fetchMe = (): Promise<Me> => call("me");

export const renameMe = (change: { name: string; email: string | null }): Promise<unknown> =>
  call("me", { method: "PATCH", json: change });

export const logIn = (token: string): Promise<unknown> => call("session", { method: "POST", json: { token } });

export const logOut = (): Promise<unknown> => call("session", { method: "DELETE" });

export const lookAtInvite = (secret: string): Promise<{ project: string; role: string }> =>
  call(`invites/${encodeURIComponent(secret)}`);

export const acceptInvite = (secret: string, name: string, email: string | null): Promise<{ project: string }> =>
  call(`invites/${encodeURIComponent(secret)}/accept`, {
    method: "POST",
    json: email === null ? { name } : { name, email },
  });
