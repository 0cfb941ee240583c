/** Who is in a file, from its awareness. The server stamps who somebody is; a client cannot say it of another. */

import type { Awareness } from "y-protocols/awareness";

/** Those who are in a file, each once, ourselves last. */
export interface Present {
  id: string;
  name: string;
  color: string | null;
  kind: "person" | "agent" | "service";
  self: boolean;
}

export function presentIn(awareness: Awareness): Present[] {
  const found = new Map<string, Present>();
  for (const [client, raw] of awareness.getStates()) {
    const user = (raw as { user?: { id?: string; name?: string; color?: string; kind?: string } }).user;
    if (!user?.name) continue;
    const self = client === awareness.clientID;
    const key = self ? "self" : (user.id ?? String(client));
    const kind = user.kind === "agent" || user.kind === "service" ? user.kind : "person";
    found.set(key, { id: user.id ?? String(client), name: user.name, color: user.color ?? null, kind, self });
  }
  return [...found.values()].sort((a, b) => Number(a.self) - Number(b.self) || a.name.localeCompare(b.name));
}
