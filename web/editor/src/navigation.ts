/**
 * Which page is shown: a signal that follows the address bar, and the ways to change it.
 *
 * Plain clicks on links to our own pages stay inside the page; with a modifier, another button or a target they are the browser's.
 */

import { signal } from "@preact/signals";
import { baseUrl, belowBase, pagePath } from "./base.ts";
import { format, parse, type Route } from "./routes.ts";

export const route = signal<Route>(here());

export function here(): Route {
  const below = belowBase(location.pathname);
  return below === null ? { page: "unknown", address: location.pathname } : parse(below, location.search);
}

export function hrefOf(to: Route): string {
  return pagePath(format(to));
}

export function go(to: Route, how: "push" | "replace" = "push"): void {
  const href = hrefOf(to);
  if (how === "replace") history.replaceState(null, "", href);
  else if (href !== location.pathname + location.search) history.pushState(null, "", href);
  route.value = to;
}

/** To an address below the base, as `next` of the login page carries it; anything else leads to the projects. */
export function goBelow(below: string | null): void {
  const url = new URL(below ?? "", baseUrl());
  const inside = url.origin === location.origin ? belowBase(url.pathname) : null;
  go(inside === null ? { page: "projects" } : parse(inside, url.search), "replace");
}

export function followLocation(): void {
  addEventListener("popstate", () => {
    route.value = here();
  });
  document.addEventListener("click", (event) => {
    const to = ownLink(event);
    if (to === null) return;
    event.preventDefault();
    go(to);
  });
}

function ownLink(event: MouseEvent): Route | null {
  if (event.defaultPrevented || event.button !== 0) return null;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return null;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin)
    return null;
  const below = belowBase(link.pathname);
  if (below === null || /^(api|git|sync)\//.test(below)) return null;
  return parse(below, link.search);
}
