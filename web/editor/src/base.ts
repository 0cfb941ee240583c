/**
 * Where Quire stands. Every address of the page, the API and the sockets is made here, from `document.baseURI`, so that
 * the same files work at the root of a host and under a path prefix.
 */

/** A path of a project as it stands in an address: each part percent-encoded, slashes kept. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

export function baseUrl(): URL {
  return new URL(".", document.baseURI);
}

/** `segments` below the base, as a path with its leading slash. */
export function pagePath(below: string): string {
  return baseUrl().pathname + below;
}

/** What stands in the location behind the base; "" is the first page. Null: an address that is not ours. */
export function belowBase(pathname: string): string | null {
  const base = baseUrl().pathname;
  return pathname.startsWith(base) ? pathname.slice(base.length) : null;
}

export function apiUrl(path: string): string {
  return new URL(`api/v1/${path}`, baseUrl()).href;
}

/** The address that a WebsocketProvider takes: without the room's name. */
export function syncUrl(): string {
  const url = new URL("sync", baseUrl());
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** The nonce that the server allows style elements with; undefined where it sent none. */
export function styleNonce(): string | undefined {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="quire-nonce"]');
  return meta?.content || undefined;
}
