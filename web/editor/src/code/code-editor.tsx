/**
 * One text on the screen: a CodeMirror view on a live file's text.
 *
 * It promises that what is shown is what the document holds. Should the two ever differ (a plugin that failed), the view is made
 * anew from the document; the document, not the view, is what is saved.
 */

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { ChangeSet, Compartment, EditorSelection, EditorState, type Extension } from "@codemirror/state";
import {
  crosshairCursor,
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
  scrollPastEnd,
} from "@codemirror/view";
import { effect, type Signal, signal, untracked } from "@preact/signals";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { styleNonce } from "../base.ts";
import { baseName } from "../format.ts";
import type { LiveFile } from "../live/live-file.ts";
import { edits } from "../live/merge.ts";
import { theme } from "../theme.ts";
import { toastError } from "../ui/toasts.tsx";
import { caretOf, cursors } from "./cursors.ts";
import { COLOURED_LIMIT, isProse, languageOf, load } from "./languages.ts";
import { look } from "./look.ts";
import { type Indent, indentOf, wrap } from "./settings.ts";

export interface Place {
  line: number;
  column: number;
  /** How many characters are selected, and in how many places. */
  selected: number;
  places: number;
}

export interface Editor {
  readonly place: Signal<Place>;
  readonly indent: Signal<Indent>;
  readonly language: Signal<string>;
  focus(): void;
  goTo(line: number): void;
  /** Shows the place at which somebody else is; our own cursor stays. */
  goToPeer(id: string): void;
  rename(path: string): void;
  close(): void;
}

interface Wanted {
  parent: HTMLElement;
  file: LiveFile;
  path: string;
  readOnly: Signal<boolean>;
  /** Called on the first edit that is made here. */
  onEdit: () => void;
}

export function openEditor(wanted: Wanted): Editor {
  return new CodeEditor(wanted);
}

class CodeEditor implements Editor {
  readonly place = signal<Place>({ line: 1, column: 1, selected: 0, places: 1 });
  readonly indent = signal<Indent>({ tabs: false, size: 2 });
  readonly language = signal("Plain text");
  private readonly wanted: Wanted;
  private readonly parts = {
    language: new Compartment(),
    wrap: new Compartment(),
    look: new Compartment(),
    indent: new Compartment(),
    access: new Compartment(),
    label: new Compartment(),
  };
  private readonly path: Signal<string>;
  private readonly stops: (() => void)[] = [];
  private readonly view: EditorView;
  private closed = false;

  constructor(wanted: Wanted) {
    this.wanted = wanted;
    this.path = signal(wanted.path);
    this.indent.value = indentOf(wanted.file.text.toString());
    this.view = new EditorView({ parent: wanted.parent, state: this.state(EditorSelection.single(0)) });
    this.stops.push(
      effect(() => this.set("look", look(theme.value === "dark"))),
      effect(() => this.set("wrap", this.wrapping())),
      effect(() => this.set("indent", indentation(this.indent.value))),
      effect(() => this.set("access", access(wanted.readOnly.value))),
      effect(() => this.set("label", label(this.path.value))),
      effect(() => this.speak(this.path.value)),
      effect(() => {
        if (wanted.file.generation.value > 0) untracked(() => this.remake());
      }),
    );
  }

  focus(): void {
    this.view.focus();
  }

  goTo(line: number): void {
    const { doc } = this.view.state;
    const { from } = doc.line(Math.max(1, Math.min(line, doc.lines)));
    const show = () => this.view.dispatch({ effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.view.dispatch({ selection: { anchor: from } });
    show();
    // Once more when the lines have been measured: far down in a long text the first guess is off by many.
    setTimeout(() => {
      if (!this.closed && this.view.state.selection.main.anchor === from) show();
    }, 60);
  }

  goToPeer(id: string): void {
    const { file } = this.wanted;
    const at = caretOf(id, file.text, file.awareness);
    if (at === null || at > this.view.state.doc.length) return;
    const show = () => this.view.dispatch({ effects: EditorView.scrollIntoView(at, { y: "center" }) });
    // A text that was hidden has no measures before it is drawn.
    requestAnimationFrame(() => {
      if (!this.closed) show();
    });
  }

  rename(path: string): void {
    this.path.value = path;
  }

  close(): void {
    this.closed = true;
    for (const stop of this.stops) stop();
    this.view.destroy();
  }

  private state(selection: EditorSelection): EditorState {
    const { file } = this.wanted;
    return EditorState.create({
      doc: file.text.toString(),
      selection,
      extensions: [this.own(), this.watched(), common, yCollab(file.text, null, { undoManager: file.undo })],
    });
  }

  private own(): Extension {
    const { file, readOnly } = this.wanted;
    const { parts } = this;
    return [
      parts.look.of(look(theme.peek() === "dark")),
      parts.wrap.of(this.wrapping()),
      parts.indent.of(indentation(this.indent.peek())),
      parts.access.of(access(readOnly.peek())),
      parts.label.of(label(this.path.peek())),
      parts.language.of([]),
      cursors(file.text, file.awareness),
    ];
  }

  private watched(): Extension {
    return [
      EditorView.updateListener.of((update) => {
        if (update.selectionSet || update.docChanged) this.place.value = placeOf(update.state);
        if (
          update.docChanged &&
          update.transactions.some((each) => each.isUserEvent("input") || each.isUserEvent("delete"))
        ) {
          this.wanted.onEdit();
        }
        if (update.docChanged) this.compareSoon();
      }),
      // CodeMirror switches a failing plugin off and goes on; a view that no longer writes to the document must not go on.
      EditorView.exceptionSink.of((error) => {
        toastError(error, "The editor had to be restarted");
        this.remakeSoon();
      }),
    ];
  }

  private set(part: keyof CodeEditor["parts"], extension: Extension): void {
    this.view.dispatch({ effects: this.parts[part].reconfigure(extension) });
  }

  private wrapping(): Extension {
    const on = wrap.value === "on" || (wrap.value === "auto" && isProse(baseName(this.path.value)));
    return on ? EditorView.lineWrapping : [];
  }

  private speak(path: string): void {
    const found = this.view.state.doc.length > COLOURED_LIMIT ? null : languageOf(baseName(path));
    this.language.value = found?.name ?? "Plain text";
    if (found === null) {
      this.set("language", []);
      return;
    }
    load(found).then(
      (support) => {
        if (!this.closed && this.path.peek() === path) this.set("language", support);
      },
      (error: unknown) => toastError(error, `The colours for ${found.name} could not be loaded`),
    );
  }

  private comparing = false;

  /** After the update, when the sync plugin has done its part: lengths are enough to see that it has not. */
  private compareSoon(): void {
    if (this.comparing) return;
    this.comparing = true;
    queueMicrotask(() => {
      this.comparing = false;
      if (!this.closed && this.view.state.doc.length !== this.wanted.file.text.length) this.remakeSoon();
    });
  }

  private remakeSoon(): void {
    queueMicrotask(() => {
      if (!this.closed) this.remake();
    });
  }

  /** The view anew, from what the document holds now; focus and place stay, the cursor stays where its text went. */
  private remake(): void {
    const { state, scrollDOM } = this.view;
    const text = this.wanted.file.text.toString();
    const changes = ChangeSet.of(edits(state.doc.toString(), text), state.doc.length, "\n");
    const top = scrollDOM.scrollTop;
    this.view.setState(this.state(state.selection.map(changes)));
    scrollDOM.scrollTop = top;
    this.place.value = placeOf(this.view.state);
    this.speak(this.path.peek());
  }
}

function nonce(): Extension {
  const value = styleNonce();
  return value === undefined ? [] : EditorView.cspNonce.of(value);
}

const common: Extension = [
  // CodeMirror counts every break as one character; with "\n" alone a "\r" in the text keeps its own place.
  EditorState.lineSeparator.of("\n"),
  // What is pasted has the clipboard's line endings; the file's own are restored by the server.
  EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
  nonce(),
  lineNumbers(),
  foldGutter(),
  highlightSpecialChars(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  drawSelection(),
  dropCursor(),
  EditorState.allowMultipleSelections.of(true),
  indentOnInput(),
  bracketMatching(),
  closeBrackets(),
  autocompletion(),
  rectangularSelection(),
  crosshairCursor(),
  highlightSelectionMatches(),
  scrollPastEnd(),
  search({ top: true }),
  keymap.of([
    ...yUndoManagerKeymap,
    ...closeBracketsKeymap,
    ...searchKeymap,
    ...foldKeymap,
    ...completionKeymap,
    indentWithTab,
    ...defaultKeymap,
  ]),
];

function indentation(indent: Indent): Extension {
  return [indentUnit.of(indent.tabs ? "\t" : " ".repeat(indent.size)), EditorState.tabSize.of(indent.size)];
}

function access(readOnly: boolean): Extension {
  return [EditorState.readOnly.of(readOnly), EditorView.contentAttributes.of({ "aria-readonly": String(readOnly) })];
}

function label(path: string): Extension {
  return EditorView.contentAttributes.of({ "aria-label": `Text of ${path}`, spellcheck: "false" });
}

function placeOf(state: EditorState): Place {
  const { main, ranges } = state.selection;
  const line = state.doc.lineAt(main.head);
  const selected = ranges.reduce((sum, range) => sum + range.to - range.from, 0);
  return { line: line.number, column: main.head - line.from + 1, selected, places: ranges.length };
}
