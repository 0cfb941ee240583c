/**
 * One request to the API, and what can go wrong with it.
 *
 * Every failure is an `ApiError`: with the server's own code and message where it answered, `code` "unreachable" (status 0)
 * where it did not. `reachable` follows the last answer, so that the page can say so once, at one place; while it is false the
 * server is asked again by itself.
 */

import { signal } from "@preact/signals";
import { Again } from "../again.ts";
import { apiUrl, baseUrl } from "../base.ts";

export const reachable = signal(true);

const asking = new Again(() => void askForLife());

/** The server was heard of, or not, by whatever way. */
export function heardOf(server: boolean): void {
  reachable.value = server;
  if (server) asking.worked();
  else asking.failed();
}

async function askForLife(): Promise<void> {
  let alive: boolean;
  try {
    alive = !isProxyError(await fetch(new URL("healthz", baseUrl()), { cache: "no-store" }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    alive = false;
  }
  heardOf(alive);
}

/** What a proxy says while the server behind it is gone. */
function isProxyError(response: Response): boolean {
  return response.status === 502 || response.status === 504;
}

/** Whether the same request may go well a little later, without anybody doing anything. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

/** Set by the session: the token that writes with the cookie must carry, where the server asks for one. */
export const csrf = signal<string | null>(null);

/** Counts the answers that said "not (or no longer) logged in"; the session watches it. */
export const refusals = signal(0);

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | null;
  readonly details: unknown;

  constructor(status: number, code: string, message: string, field: string | null = null, details: unknown = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.field = field;
    this.details = details;
  }
}

export interface Options {
  method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export async function call<T>(path: string, options: Options = {}): Promise<T> {
  const response = await send(path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** The response itself, whose status says that it went well (2xx or 304). */
export async function send(path: string, options: Options = {}): Promise<Response> {
  const headers = new Headers({ Accept: "application/json", ...options.headers });
  const method = options.method ?? "GET";
  let body = options.body ?? null;
  if (options.json !== undefined) {
    body = JSON.stringify(options.json);
    headers.set("Content-Type", "application/json");
  }
  for (const [name, value] of Object.entries(writeHeaders(method))) headers.set(name, value);
  const response = await reach(apiUrl(path), {
    method,
    headers,
    body,
    credentials: "same-origin",
    ...(options.signal && { signal: options.signal }),
  });
  if (response.ok || response.status === 304) return response;
  throw note(await failure(response));
}

/** The headers that every write carries, also where it does not go through `call` (an upload with progress). */
export function writeHeaders(method: string): Record<string, string> {
  return method === "GET" || method === "HEAD" || csrf.value === null ? {} : { "X-CSRF-Token": csrf.value };
}

export function note(error: ApiError): ApiError {
  if (error.status === 401) refusals.value += 1;
  return error;
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    heardOf(false);
    throw new ApiError(0, "unreachable", "The server cannot be reached. Check the connection, then try again.");
  }
  heardOf(!isProxyError(response));
  return response;
}

async function failure(response: Response): Promise<ApiError> {
  return errorFrom(response.status, await response.text(), response.statusText);
}

export function errorFrom(status: number, text: string, statusText: string): ApiError {
  const said = parsed(text);
  if (said === null)
    return new ApiError(status, `http_${status}`, `The server answered ${status} ${statusText}.`.trim());
  return new ApiError(status, said.code, said.message, said.field ?? null, said.details ?? null);
}

interface Said {
  code: string;
  message: string;
  field?: string;
  details?: unknown;
}

function parsed(text: string): Said | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const said = body.error as Said;
  return typeof said?.message === "string" && typeof said.code === "string" ? said : null;
}

/** The sentence to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
