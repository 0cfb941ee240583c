/** Projects: list, make, import, rename, delete. */

import { apiUrl } from "../base.ts";
import { ApiError, call, errorFrom, note, writeHeaders } from "./http.ts";
import type { Job, Project } from "./types.ts";

export const projectPath = (name: string): string => `projects/${encodeURIComponent(name)}`;

export const listProjects = async (): Promise<Project[]> => (await call<{ projects: Project[] }>("projects")).projects;

export const fetchProject = (name: string): Promise<Project> => call(projectPath(name));

export const createProject = (name: string, example = false): Promise<Project> =>
  call("projects", { method: "POST", json: example ? { name, example } : { name } });

export const renameProject = (name: string, to: string): Promise<Project> =>
  call(projectPath(name), { method: "PATCH", json: { name: to } });

export const deleteProject = (name: string): Promise<void> => call(projectPath(name), { method: "DELETE" });

export const importGit = async (name: string, git: string): Promise<Job> =>
  (await call<{ job: Job }>(`${projectPath(name)}/import`, { method: "POST", json: { git } })).job;

export const fetchJob = async (name: string, id: string): Promise<Job> =>
  (await call<{ job: Job }>(`${projectPath(name)}/import/${encodeURIComponent(id)}`)).job;

export interface Picked {
  /** The path in the project, or the archive's name. */
  path: string;
  file: Blob;
}

/** Sends files (or one archive) with progress: XMLHttpRequest, because fetch does not tell how much has left. */
export function importFiles(name: string, files: readonly Picked[], progress: (part: number) => void): Promise<Job> {
  const form = new FormData();
  for (const { path, file } of files) form.append("files", file, path);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    // An archive often holds everything in one folder, which is not part of the project.
    request.open("POST", apiUrl(`${projectPath(name)}/import?strip=true`));
    for (const [header, value] of Object.entries(writeHeaders("POST"))) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onerror = () =>
      reject(new ApiError(0, "unreachable", "The connection broke while the files were on their way. Try again."));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300)
        resolve((JSON.parse(request.responseText) as { job: Job }).job);
      else reject(note(errorFrom(request.status, request.responseText, request.statusText)));
    };
    request.send(form);
  });
}
