/**
 * Who is here. PURE. From the awareness of the open files, where the server stamps who somebody is (a client cannot say it of
 * another), and from what events tell of who wrote in the others.
 */

/** Somebody in an open file, ourselves included. */
export interface InFile {
  id: string;
  name: string;
  color: string | null;
  kind: "person" | "agent" | "service";
  self: boolean;
}

/** Somebody who wrote in some file a while ago. */
export interface Wrote {
  id: string;
  name: string;
  path: string;
  at: number;
}

/** One avatar: somebody, and the file in which he is or was. */
export interface Here {
  id: string;
  name: string;
  color: string | null;
  kind: "person" | "agent" | "service";
  path: string;
  /** False: he wrote there lately; whether he still looks at it is not known. */
  live: boolean;
}

/** Who wrote something counts as here for so long. */
export const LATELY_MS = 3 * 60_000;

interface State {
  user?: { id?: string; name?: string; color?: string; kind?: string };
}

export function peopleIn(states: Iterable<[number, unknown]>, own: number): InFile[] {
  const found = new Map<string, InFile>();
  for (const [client, raw] of states) {
    const user = (raw as State).user;
    if (!user?.name) continue;
    const self = client === own;
    const kind = user.kind === "agent" || user.kind === "service" ? user.kind : "person";
    const id = user.id ?? String(client);
    found.set(self ? "self" : id, { id, name: user.name, color: user.color ?? null, kind, self });
  }
  return [...found.values()];
}

/** Everybody else once: in the first of `files` that he is in (the shown one stands first), else where he wrote last. */
export function whoIsHere(
  files: readonly { path: string; people: readonly InFile[] }[],
  wrote: Iterable<Wrote>,
  own: string,
  now: number,
): Here[] {
  const found = new Map<string, Here>();
  for (const { path, people } of files) {
    for (const { id, name, color, kind, self } of people) {
      if (!self && !found.has(id)) found.set(id, { id, name, color, kind, path, live: true });
    }
  }
  const live = [...found.values()].sort(byName);
  const lately: Here[] = [];
  for (const { id, name, path, at } of wrote) {
    if (id === own || found.has(id) || now - at > LATELY_MS) continue;
    lately.push({ id, name, color: null, kind: "person", path, live: false });
  }
  return [...live, ...lately.sort(byName)];
}

const byName = (a: Here, b: Here): number => a.name.localeCompare(b.name);
