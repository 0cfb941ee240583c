/** The frame of a project's own pages (commits, settings): the way back to its files, and to the others. */

import type { ComponentChildren } from "preact";
import { hrefOf } from "../navigation.ts";
import { ConnectionBanner, TopBar } from "../ui/shell.tsx";

interface FrameProps {
  project: string;
  title: string;
  retry: () => void;
  /** Uses the whole width of the window. */
  wide?: boolean;
  children: ComponentChildren;
}

export function ProjectFrame({ project, title, retry, wide = false, children }: FrameProps) {
  const files = hrefOf({ page: "project", project, path: null, line: null });
  const pages = [
    { name: "Files", href: files },
    { name: "Commits", href: hrefOf({ page: "history", project }) },
    { name: "Conflicts", href: hrefOf({ page: "conflicts", project, id: null }) },
    { name: "Settings", href: hrefOf({ page: "settings", project }) },
  ];
  return (
    <div class="page">
      <TopBar>
        <a class="project-name" href={files}>
          {project}
        </a>
        <nav class="pages" aria-label="Pages of the project">
          {pages.map((page) => (
            <a key={page.name} href={page.href} {...(page.name === title && { "aria-current": "page" })}>
              {page.name}
            </a>
          ))}
        </nav>
      </TopBar>
      <ConnectionBanner retry={retry} />
      <main class={wide ? "column wide" : "column"}>
        {!wide && <h1>{title}</h1>}
        {children}
      </main>
    </div>
  );
}
