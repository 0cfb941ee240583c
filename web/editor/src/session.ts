/**
 * Who is looking at this page: asked at the start and after every login.
 *
 * `me` is undefined until the first answer, null when nobody is logged in. When a login ends in the middle of work, `me` stays
 * and `expired` is set: the page stays as it is, unsaved text included, under a dialog that logs in again.
 */

import { computed, effect, signal } from "@preact/signals";
import { ApiError, csrf, refusals } from "./api/http.ts";
import { fetchMe, logOut } from "./api/session.ts";
import type { Me, Role } from "./api/types.ts";
import { route } from "./navigation.ts";
import { isLoopback } from "./project/clone.ts";

export const me = signal<Me | null | undefined>(undefined);
export const expired = signal(false);
export const bootError = signal<ApiError | null>(null);

/** Counts the logins of this page; live connections watch it and connect again. */
export const logins = signal(0);

/** What one may do in the project that the address names, or everywhere where it names none. */
const role = computed<Role | null>(() => {
  const at = route.value;
  const who = me.value;
  if (!who) return null;
  if (!("project" in at)) return who.role === "root" ? "root" : null;
  return who.role === "root" ? "root" : (who.roles?.[at.project] ?? (who.project === at.project ? who.role : null));
});

export const canWrite = computed(() => role.value !== null && role.value !== "viewer");
export const canManage = computed(() => role.value === "admin" || role.value === "root");

/** Whoever runs the server, or sits at its machine, can reach the repositories that lie there. */
export const mayReachServer = (): boolean => me.value?.role === "root" || isLoopback(location.hostname);

/** An agent is named by whoever made its token; null until somebody tried. */
export const mayRename = computed(() => (me.value?.actor.kind ?? "person") === "person" && !renameRefused.value);
export const renameRefused = signal(false);

export async function whoAmI(): Promise<void> {
  bootError.value = null;
  try {
    const answer = await fetchMe();
    csrf.value = answer.csrf ?? null;
    me.value = answer;
    expired.value = false;
    logins.value += 1;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status !== 401) bootError.value = error;
    else if (!me.value) me.value = null;
  }
}

export async function leave(): Promise<void> {
  await logOut();
  me.value = null;
}

export function watchRefusals(): void {
  effect(() => {
    if (refusals.value > 0 && me.peek()) expired.value = true;
  });
}
