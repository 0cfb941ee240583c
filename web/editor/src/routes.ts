/**
 * The pages and their addresses. PURE. `parse` and `format` are inverse to each other.
 *
 * A project's own pages live under `/p/{project}/-/`; a file in a folder that is really called `-` has it escaped as `%2D`.
 */

import { encodePath } from "./base.ts";

export type Route =
  | { page: "projects" }
  | { page: "login"; next: string | null }
  | { page: "join"; invite: string }
  | { page: "project"; project: string; path: string | null; line: number | null; at?: string | null }
  | { page: "history"; project: string }
  | { page: "conflicts"; project: string; id: string | null }
  | { page: "settings"; project: string }
  | { page: "unknown"; address: string };

export function parse(below: string, search: string): Route {
  const query = new URLSearchParams(search);
  const raw = below.split("/");
  const [first, second = "", third = ""] = raw;
  if (below === "") return { page: "projects" };
  if (first === "login" && raw.length === 1) return { page: "login", next: query.get("next") };
  if (first === "join" && second !== "" && raw.length === 2) return { page: "join", invite: decode(second) };
  if (first !== "p" || second === "") return { page: "unknown", address: below };
  const project = decode(second);
  if (third === "-") {
    const [name = "", id = ""] = raw.slice(3);
    if (name === "conflicts" && raw.length <= 5) return { page: name, project, id: id === "" ? null : decode(id) };
    const known = (name === "history" || name === "settings") && raw.length === 4;
    return known ? { page: name, project } : { page: "unknown", address: below };
  }
  const path = raw.slice(2).map(decode).join("/");
  return {
    page: "project",
    project,
    path: path === "" ? null : path,
    line: lineOf(query.get("line")),
    at: query.get("at") || null,
  };
}

/** The address of a page, below the base. */
export function format(route: Route): string {
  switch (route.page) {
    case "projects":
      return "";
    case "login":
      return route.next === null ? "login" : `login?next=${encodeURIComponent(route.next)}`;
    case "join":
      return `join/${encodeURIComponent(route.invite)}`;
    case "project":
      return projectAddress(route);
    case "conflicts":
      return `p/${encodeURIComponent(route.project)}/-/conflicts${route.id === null ? "" : `/${encodeURIComponent(route.id)}`}`;
    case "history":
    case "settings":
      return `p/${encodeURIComponent(route.project)}/-/${route.page}`;
    case "unknown":
      return route.address;
  }
}

function projectAddress(route: Extract<Route, { page: "project" }>): string {
  const root = `p/${encodeURIComponent(route.project)}`;
  if (route.path === null) return root;
  const path = encodePath(route.path).replace(/^-(?=\/|$)/, "%2D");
  const query = new URLSearchParams();
  if (route.line !== null) query.set("line", String(route.line));
  if (route.at) query.set("at", route.at);
  return `${root}/${path}${query.size === 0 ? "" : `?${query}`}`;
}

function lineOf(text: string | null): number | null {
  const line = Number(text);
  return Number.isSafeInteger(line) && line > 0 ? line : null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}
