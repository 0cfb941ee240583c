/**
 * The merged text, to be read and edited by hand. It shows a `Resolution`: where its hunks are, and which of them nobody has decided.
 *
 * What is typed is told as it happens; what is decided elsewhere comes by `show`, as small edits, so that the cursor stays. Undo is
 * for what was typed.
 */

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { foldGutter, foldKeymap } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import {
  Annotation,
  Compartment,
  EditorState,
  type Range,
  StateEffect,
  StateField,
  Transaction,
} from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  WidgetType,
} from "@codemirror/view";
import { effect } from "@preact/signals";
import { styleNonce } from "../base.ts";
import { COLOURED_LIMIT, isProse, languageOf, load } from "../code/languages.ts";
import { look } from "../code/look.ts";
import { wrap } from "../code/settings.ts";
import { baseName } from "../format.ts";
import { theme } from "../theme.ts";
import { type Choice, changesBetween, hunksOf, type Resolution, spans, textOf } from "./resolution.ts";

export interface MergedPane {
  /** `active`: the number of the hunk that is looked at. */
  show(resolution: Resolution, active: number | null): void;
  /** The cursor into a hunk. */
  edit(number: number): void;
  reveal(number: number): void;
  close(): void;
}

interface Wanted {
  parent: HTMLElement;
  path: string;
  resolution: Resolution;
  readOnly: boolean;
  /** Gives what it is then. */
  onTyped: (from: number, to: number, insert: string) => Resolution;
  /** The cursor went into a hunk. */
  onEnter: (number: number) => void;
}

interface Mark {
  from: number;
  to: number;
  number: number;
  choice: Choice | null;
  active: boolean;
}

const shown = Annotation.define<boolean>();
const setMarks = StateEffect.define<readonly Mark[]>();

const SAYS: Record<Choice | "open", string> = {
  open: "not decided",
  ours: "ours",
  theirs: "theirs",
  both: "both",
  hand: "by hand",
};

class Label extends WidgetType {
  private readonly mark: Mark;
  private readonly empty: boolean;

  constructor(mark: Mark, empty: boolean) {
    super();
    this.mark = mark;
    this.empty = empty;
  }

  override eq(other: Label): boolean {
    const [a, b] = [this.mark, other.mark];
    return a.number === b.number && a.choice === b.choice && a.active === b.active && this.empty === other.empty;
  }

  override toDOM(): HTMLElement {
    const element = document.createElement("div");
    element.className = `merged-label ${this.mark.choice ?? "open"}${this.mark.active ? " active" : ""}`;
    element.textContent = `${this.mark.number + 1} · ${SAYS[this.mark.choice ?? "open"]}${this.empty ? " · no lines" : ""}`;
    return element;
  }

  override ignoreEvent(): boolean {
    return false;
  }
}

const marks = StateField.define<readonly Mark[]>({
  create: () => [],
  update(value, transaction) {
    for (const each of transaction.effects) if (each.is(setMarks)) return each.value;
    if (!transaction.docChanged) return value;
    return value.map((mark) => ({
      ...mark,
      from: transaction.changes.mapPos(mark.from, -1),
      to: transaction.changes.mapPos(mark.to, 1),
    }));
  },
  provide: (field) => EditorView.decorations.compute([field], (state) => decorations(state, state.field(field))),
});

function decorations(state: EditorState, found: readonly Mark[]): DecorationSet {
  const ranges: Range<Decoration>[] = [];
  for (const mark of found) {
    const from = Math.min(mark.from, state.doc.length);
    const to = Math.min(mark.to, state.doc.length);
    const first = state.doc.lineAt(from);
    ranges.push(Decoration.widget({ widget: new Label(mark, from === to), block: true, side: -1 }).range(first.from));
    const className = `merged-hunk ${mark.choice ?? "open"}${mark.active ? " active" : ""}`;
    for (let at = first; from < to && at.from < to; at = state.doc.line(at.number + 1)) {
      ranges.push(Decoration.line({ class: className }).range(at.from));
      if (at.number === state.doc.lines) break;
    }
  }
  return Decoration.set(ranges, true);
}

function sameMarks(one: readonly Mark[], other: readonly Mark[]): boolean {
  return (
    one.length === other.length &&
    one.every((mark, index) => {
      const there = other[index];
      return (
        there !== undefined &&
        mark.from === there.from &&
        mark.to === there.to &&
        mark.choice === there.choice &&
        mark.active === there.active
      );
    })
  );
}

export function openMergedPane({ parent, path, resolution, readOnly, onTyped, onEnter }: Wanted): MergedPane {
  const looks = new Compartment();
  const language = new Compartment();
  const nonce = styleNonce();
  const name = baseName(path);
  const wraps = wrap.peek() === "on" || (wrap.peek() === "auto" && isProse(name));
  let closed = false;
  /** What the view shows. */
  let known = resolution;
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: textOf(resolution),
      extensions: [
        EditorState.lineSeparator.of("\n"),
        EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
        EditorView.contentAttributes.of({ "aria-label": `Merged text of ${path}`, spellcheck: "false" }),
        nonce === undefined ? [] : EditorView.cspNonce.of(nonce),
        marks,
        EditorState.readOnly.of(readOnly),
        history(),
        lineNumbers(),
        foldGutter(),
        highlightSpecialChars(),
        drawSelection(),
        highlightSelectionMatches(),
        search({ top: true }),
        // Escape and then Tab leaves the pane with the keyboard.
        keymap.of([...historyKeymap, ...searchKeymap, ...foldKeymap, indentWithTab, ...defaultKeymap]),
        wraps ? EditorView.lineWrapping : [],
        looks.of(look(theme.peek() === "dark")),
        language.of([]),
        EditorView.updateListener.of((update) => {
          for (const transaction of update.transactions) {
            if (!transaction.docChanged || transaction.annotation(shown)) continue;
            const changes: [number, number, string][] = [];
            transaction.changes.iterChanges((from, to, _a, _b, inserted) =>
              changes.push([from, to, inserted.toString()]),
            );
            for (const [from, to, inserted] of changes.toReversed()) known = onTyped(from, to, inserted);
          }
          if (update.selectionSet && update.view.hasFocus) {
            const place = update.state.selection.main.head;
            const inside = update.state.field(marks).find((mark) => mark.from <= place && place < mark.to);
            if (inside && !inside.active) onEnter(inside.number);
          }
        }),
      ],
    }),
  });
  const stop = effect(() => view.dispatch({ effects: looks.reconfigure(look(theme.value === "dark")) }));
  const spoken = view.state.doc.length > COLOURED_LIMIT ? null : languageOf(name);
  if (spoken) {
    load(spoken).then(
      (support) => {
        if (!closed) view.dispatch({ effects: language.reconfigure(support) });
      },
      () => undefined, // Without its grammar the text has no colours.
    );
  }
  const placeOf = (number: number) => view.state.field(marks)[number]?.from ?? 0;
  return {
    show(next, active) {
      const changes = changesBetween(known, next);
      known = next;
      const found = hunksOf(next);
      const places = spans(next).map(({ from, to }, number) => ({
        from,
        to,
        number,
        choice: found[number]?.choice ?? null,
        active: number === active,
      }));
      if (changes.length === 0 && sameMarks(places, view.state.field(marks))) return;
      view.dispatch({
        changes,
        effects: setMarks.of(places),
        annotations: [shown.of(true), Transaction.addToHistory.of(false)],
      });
    },
    edit(number) {
      view.dispatch({
        selection: { anchor: placeOf(number) },
        effects: EditorView.scrollIntoView(placeOf(number), { y: "center" }),
      });
      view.focus();
    },
    reveal(number) {
      view.dispatch({ effects: EditorView.scrollIntoView(placeOf(number), { y: "center" }) });
    },
    close() {
      closed = true;
      stop();
      view.destroy();
    },
  };
}
