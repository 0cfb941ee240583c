/** What connecting would bring together, and what is to count where both sides have files. */

import type { Signal } from "@preact/signals";
import type { RemotePreview, Take } from "../api/types.ts";
import { counted } from "../format.ts";
import { choices, lists, whatHappens } from "./words.ts";

const SHOWN = 200;

export function PreviewOf({ preview, take }: { preview: RemotePreview; take: Signal<Take | null> }) {
  return (
    <>
      <p>
        <strong>{preview.repository}</strong>, branch <code>{preview.branch}</code>
        {preview.head && (
          <>
            {" "}
            at <code>{preview.head.slice(0, 10)}</code>
          </>
        )}
      </p>
      <div class="compared">
        {lists(preview).map((each) => (
          <Paths key={each.name} {...each} />
        ))}
      </div>
      {preview.uncommitted > 0 && (
        <p>
          {counted(preview.uncommitted, "file")} not committed where the project is now; what was written goes along.
        </p>
      )}
      {preview.choice ? (
        <fieldset class="takes">
          <legend>Both sides have files, and they are not the same. What counts?</legend>
          {choices(preview).map((each) => (
            <label key={each.take} class="take">
              <input
                type="radio"
                name="take"
                required
                checked={take.value === each.take}
                onChange={() => {
                  take.value = each.take;
                }}
              />
              <span>
                <strong>{each.title}</strong>
                <span class="field-hint">{each.means}</span>
              </span>
            </label>
          ))}
        </fieldset>
      ) : (
        <p>{whatHappens(preview)}</p>
      )}
    </>
  );
}

function Paths({ name, what, paths }: { name: string; what: string; paths: string[] }) {
  if (paths.length === 0) {
    return (
      <p class="compared-none">
        <span class="compared-count">0</span> {name} <span class="quiet">{what}</span>
      </p>
    );
  }
  return (
    <details>
      <summary>
        <span class="compared-count">{paths.length.toLocaleString("en")}</span> {name} <span class="quiet">{what}</span>
      </summary>
      <ul class="compared-paths">
        {paths.slice(0, SHOWN).map((path) => (
          <li key={path}>
            <code>{path}</code>
          </li>
        ))}
        {paths.length > SHOWN && <li class="quiet">and {(paths.length - SHOWN).toLocaleString("en")} more</li>}
      </ul>
    </details>
  );
}
