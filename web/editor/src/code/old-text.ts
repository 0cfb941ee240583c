/** A text that nobody can change, on the screen. It belongs to no document. */

import { foldGutter, foldKeymap } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { effect } from "@preact/signals";
import { styleNonce } from "../base.ts";
import { baseName } from "../format.ts";
import { theme } from "../theme.ts";
import { COLOURED_LIMIT, isProse, languageOf, load } from "./languages.ts";
import { look } from "./look.ts";
import { wrap } from "./settings.ts";

/** Gives what takes it away again. */
export function showOldText(parent: HTMLElement, text: string, path: string): () => void {
  const looks = new Compartment();
  const language = new Compartment();
  const nonce = styleNonce();
  const name = baseName(path);
  const wraps = wrap.peek() === "on" || (wrap.peek() === "auto" && isProse(name));
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text.replace(/\r\n/g, "\n"),
      extensions: [
        EditorState.lineSeparator.of("\n"),
        EditorState.readOnly.of(true),
        EditorView.contentAttributes.of({ "aria-readonly": "true", "aria-label": `Old text of ${path}` }),
        nonce === undefined ? [] : EditorView.cspNonce.of(nonce),
        lineNumbers(),
        foldGutter(),
        highlightSpecialChars(),
        drawSelection(),
        highlightSelectionMatches(),
        search({ top: true }),
        keymap.of([...searchKeymap, ...foldKeymap]),
        wraps ? EditorView.lineWrapping : [],
        looks.of(look(theme.peek() === "dark")),
        language.of([]),
      ],
    }),
  });
  let closed = false;
  const stop = effect(() => view.dispatch({ effects: looks.reconfigure(look(theme.value === "dark")) }));
  const found = text.length > COLOURED_LIMIT ? null : languageOf(name);
  if (found) {
    load(found).then(
      (support) => {
        if (!closed) view.dispatch({ effects: language.reconfigure(support) });
      },
      () => undefined, // Without its grammar the text has no colours.
    );
  }
  return () => {
    closed = true;
    stop();
    view.destroy();
  };
}
