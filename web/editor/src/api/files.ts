/** The files of a project: the tree, single rows, writes, moves, deletions. */

import { apiUrl, encodePath } from "../base.ts";
import { ApiError, call, send } from "./http.ts";
import { projectPath } from "./projects.ts";
import type { FileRow } from "./types.ts";

const filePath = (project: string, path: string): string => `${projectPath(project)}/files/${encodePath(path)}`;

/** Where a file's bytes are; `at` makes the address change with its content, so that an image is fetched anew. */
export function fileUrl(project: string, path: string, at?: string | number | null): string {
  return apiUrl(filePath(project, path)) + (at === undefined || at === null ? "" : `?v=${at}`);
}

export interface Listing {
  files: FileRow[];
  etag: string | null;
}

/** The whole tree, page by page; null when it is still what `etag` names. */
export async function listFiles(project: string, etag: string | null = null): Promise<Listing | null> {
  const first = await send(
    `${projectPath(project)}/files`,
    etag === null ? {} : { headers: { "If-None-Match": etag } },
  );
  if (first.status === 304) return null;
  let page = pageOf(await first.json(), first.headers);
  const { files } = page;
  while (page.cursor) {
    page = await fetchPage(project, `cursor=${encodeURIComponent(page.cursor)}`);
    for (const row of page.files) files.push(row);
  }
  return { files, etag: first.headers.get("ETag") };
}

interface Page {
  files: FileRow[];
  cursor: string | null;
}

/** A page of the list: an array whose cursor stands in a header, or an object that holds both. */
export function pageOf(body: FileRow[] | Page, headers: Headers): Page {
  return Array.isArray(body) ? { files: body, cursor: headers.get("X-Quire-Cursor") } : body;
}

async function fetchPage(project: string, query: string): Promise<Page> {
  const response = await send(`${projectPath(project)}/files?${query}`);
  return pageOf(await response.json(), response.headers);
}

/** The row of one path; undefined when nothing lives there. */
export async function fetchRow(project: string, path: string): Promise<FileRow | undefined> {
  const page = await fetchPage(project, `prefix=${encodeURIComponent(path)}`);
  return page.files.find((row) => row.path === path);
}

/** Longer files are no texts here, as they are none on the server. */
const TEXT_LIMIT = 2_000_000;

/** The text of a file, now or at a commit, a position or a time; null when it is no text. */
export async function fetchText(project: string, path: string, at: string | null): Promise<string | null> {
  const query = at === null ? "" : `?at=${encodeURIComponent(at)}`;
  const response = await send(filePath(project, path) + query, { headers: { Accept: "*/*" } });
  return textOf(await response.arrayBuffer());
}

function textOf(bytes: ArrayBuffer): string | null {
  if (bytes.byteLength > TEXT_LIMIT) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Writes bytes. `create`: fails with 412 or 409 where something stands already. */
export const putFile = (project: string, path: string, body: Blob | string, create: boolean): Promise<unknown> =>
  call(filePath(project, path), {
    method: "PUT",
    body,
    headers: { "Content-Type": "application/octet-stream", ...(create && { "If-None-Match": "*" }) },
  });

export const moveFile = (project: string, from: string, to: string): Promise<unknown> =>
  call(`${projectPath(project)}/moves`, { method: "POST", json: { from, to } });

export const deleteFile = (project: string, path: string, recursive: boolean): Promise<unknown> =>
  call(filePath(project, path) + (recursive ? "?recursive=true" : ""), { method: "DELETE" });

export const undeleteFile = (project: string, id: string): Promise<unknown> =>
  call(`${projectPath(project)}/undelete`, { method: "POST", json: { id } });

/** The document that a path leads to, also one that was renamed since; null when there is none. */
export async function documentAt(project: string, path: string): Promise<string | null> {
  try {
    const response = await send(filePath(project, path), { method: "HEAD", headers: { Accept: "*/*" } });
    return response.headers.get("X-Quire-Document");
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
