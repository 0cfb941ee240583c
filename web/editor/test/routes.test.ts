import assert from "node:assert/strict";
import { test } from "node:test";
import { format, parse, type Route } from "../src/routes.ts";

const again = (route: Route): Route => {
  const [below = "", search = ""] = format(route).split("?");
  return parse(below, search);
};

test("every page's address leads to that page", () => {
  const routes: Route[] = [
    { page: "projects" },
    { page: "login", next: "p/notes" },
    { page: "join", invite: "a/b" },
    { page: "project", project: "notes", path: null, line: null, at: null },
    { page: "project", project: "notes", path: "-/a b?.md", line: 7, at: null },
    { page: "project", project: "notes", path: "a.md", line: null, at: "2026-01-31T12:00:00+01:00" },
    { page: "history", project: "notes" },
    { page: "conflicts", project: "notes", id: null },
    { page: "conflicts", project: "notes", id: "a1b2/c" },
    { page: "settings", project: "notes" },
  ];
  for (const route of routes) assert.deepEqual(again(route), route);
});
