/** A file that is not text: what it is, a picture where it is one, and the way to its bytes. Nothing of it is ever run. */

import { fileUrl } from "../api/files.ts";
import { type Actor, type FileRow, nameOf } from "../api/types.ts";
import { ago, baseName, bytes, timeOf } from "../format.ts";
import { Icon } from "../ui/icons.tsx";
import { iconOf } from "./tree-view.tsx";

const WHAT: Record<string, string> = {
  binary: "Not text, so it is kept byte for byte and not co-edited.",
  symlink: "A symbolic link. It is kept as git has it.",
  submodule: "A submodule: a pointer to a commit of another repository.",
  lfs: "A pointer to a large file (Git LFS). The file itself is not here.",
};

export function Preview({ project, row }: { project: string; row: FileRow }) {
  const name = baseName(row.path);
  const picture = row.kind === "binary" && /\.(png|jpe?g|gif|webp|avif|ico|bmp)$/i.test(name);
  const by = nameOf(row.updated_by as string | Actor | null);
  return (
    <section class="preview" aria-label={name}>
      {picture ? (
        <img src={fileUrl(project, row.path, row.sha ?? row.position)} alt={name} />
      ) : (
        <span class="preview-icon">
          <Icon name={iconOf(row.kind, name)} size={48} />
        </span>
      )}
      <h1>{name}</h1>
      <p>
        {row.kind === "binary" && row.size > 2_000_000
          ? "Over 2 MB, or not text: kept byte for byte and not co-edited."
          : WHAT[row.kind]}
      </p>
      <dl class="facts">
        <div>
          <dt>Size</dt>
          <dd>{bytes(row.size)}</dd>
        </div>
        {row.mime && (
          <div>
            <dt>Type</dt>
            <dd>{row.mime}</dd>
          </div>
        )}
        {row.sha && (
          <div>
            <dt>Git blob</dt>
            <dd>
              <code>{row.sha.slice(0, 12)}</code>
            </dd>
          </div>
        )}
        <div>
          <dt>Changed</dt>
          <dd>
            {ago(timeOf(row.updated_at), Date.now())}
            {by && ` by ${by}`}
          </dd>
        </div>
      </dl>
      {row.kind !== "submodule" && (
        <a class="button" href={fileUrl(project, row.path)} download={name}>
          <Icon name="download" />
          <span>Download</span>
        </a>
      )}
    </section>
  );
}
