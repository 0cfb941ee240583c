/**
 * Where the others are: their carets with their names, their selections, and ours for them.
 *
 * The awareness field is the one of y-codemirror.next (`cursor: {anchor, head}`, relative positions), so that other Yjs editors
 * see us and we them. A peer's place is looked up when the peer moves, and mapped through edits in between: looking it up costs
 * a walk through the document.
 */

import { type Extension, type Range, StateEffect } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  type EditorView,
  ViewPlugin,
  type ViewUpdate,
  WidgetType,
} from "@codemirror/view";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { colourOf, inkOn } from "../ui/controls.tsx";

/** How often we say where we are, at most: the server takes 20 a second for a whole room. */
const TELL_MS = 120;
/** How long a name stays at a caret that moved. */
const FRESH_MS = 3_000;

const moved = StateEffect.define<null>();

interface Peer {
  name: string;
  colour: string;
  anchor: number;
  head: number;
  /** Until when the name is shown. */
  fresh: number;
}

class Caret extends WidgetType {
  private readonly peer: Peer;
  private readonly fresh: boolean;

  constructor(peer: Peer) {
    super();
    this.peer = peer;
    this.fresh = peer.fresh > Date.now();
  }

  override eq(other: Caret): boolean {
    return other.peer.name === this.peer.name && other.peer.colour === this.peer.colour && other.fresh === this.fresh;
  }

  override toDOM(): HTMLElement {
    const caret = document.createElement("span");
    caret.className = this.fresh ? "cm-peer fresh" : "cm-peer";
    caret.style.setProperty("--peer", this.peer.colour);
    caret.style.setProperty("--peer-ink", inkOn(this.peer.colour));
    caret.ariaHidden = "true";
    // The name is drawn by the style sheet: it is no part of the text that is selected, copied or read aloud.
    caret.dataset.name = this.peer.name;
    return caret;
  }

  override get estimatedHeight(): number {
    return -1;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

class Cursors {
  decorations: DecorationSet = Decoration.none;
  private readonly view: EditorView;
  private readonly text: Y.Text;
  private readonly awareness: Awareness;
  private readonly peers = new Map<number, Peer>();
  private readonly changed = new Set<number>();
  private telling: ReturnType<typeof setTimeout> | null = null;
  private drawing: number | null = null;
  private fading: ReturnType<typeof setTimeout> | null = null;
  private told = "";

  constructor(view: EditorView, text: Y.Text, awareness: Awareness) {
    this.view = view;
    this.text = text;
    this.awareness = awareness;
    for (const client of awareness.getStates().keys()) this.changed.add(client);
    awareness.on("change", this.heard);
    this.drawSoon();
    this.tellSoon();
  }

  update(update: ViewUpdate): void {
    if (update.docChanged) {
      for (const peer of this.peers.values()) {
        peer.anchor = update.changes.mapPos(peer.anchor, 1);
        peer.head = update.changes.mapPos(peer.head, 1);
      }
    }
    const asked = update.transactions.some((transaction) => transaction.effects.some((effect) => effect.is(moved)));
    if (asked || (update.docChanged && this.changed.size > 0)) this.find();
    if (asked || update.docChanged) this.decorations = this.draw();
    if (update.selectionSet || update.docChanged || update.focusChanged) this.tellSoon();
  }

  destroy(): void {
    this.awareness.off("change", this.heard);
    if (this.telling !== null) clearTimeout(this.telling);
    if (this.fading !== null) clearTimeout(this.fading);
    if (this.drawing !== null) cancelAnimationFrame(this.drawing);
  }

  private readonly heard = (change: { added: number[]; updated: number[]; removed: number[] }): void => {
    for (const client of [...change.added, ...change.updated, ...change.removed]) this.changed.add(client);
    this.changed.delete(this.awareness.clientID);
    if (this.changed.size > 0) this.drawSoon();
  };

  /** Awareness speaks in the middle of other updates: what it says is drawn in the next frame, once. */
  private drawSoon(): void {
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      this.view.dispatch({ effects: moved.of(null) });
    });
  }

  private find(): void {
    const { doc } = this.text;
    if (doc === null) return;
    const states = this.awareness.getStates();
    for (const client of [...this.changed]) {
      const state = states.get(client) as PeerState | undefined;
      if (client === this.awareness.clientID || !state?.cursor) {
        this.peers.delete(client);
        this.changed.delete(client);
        continue;
      }
      const anchor = placeOf(state.cursor.anchor, this.text, doc);
      const head = placeOf(state.cursor.head, this.text, doc);
      // Not there yet: the edit that it points into is still on its way. Tried again after the next edit.
      if (anchor === null || head === null) continue;
      this.changed.delete(client);
      const name = state.user?.name || "Somebody";
      const colour = colourOf({ id: state.user?.id ?? String(client), color: state.user?.color ?? null });
      this.peers.set(client, { name, colour, anchor, head, fresh: Date.now() + FRESH_MS });
    }
  }

  private draw(): DecorationSet {
    const ranges: Range<Decoration>[] = [];
    const { length } = this.view.state.doc;
    let next = Number.POSITIVE_INFINITY;
    for (const peer of this.peers.values()) {
      const [anchor, head] = [Math.min(peer.anchor, length), Math.min(peer.head, length)];
      if (anchor !== head) ranges.push(selection(peer.colour).range(Math.min(anchor, head), Math.max(anchor, head)));
      ranges.push(Decoration.widget({ widget: new Caret(peer), side: head >= anchor ? -1 : 1 }).range(head));
      if (peer.fresh > Date.now()) next = Math.min(next, peer.fresh);
    }
    this.fadeAt(next);
    return Decoration.set(ranges, true);
  }

  private fadeAt(at: number): void {
    if (this.fading !== null) clearTimeout(this.fading);
    this.fading = null;
    if (at === Number.POSITIVE_INFINITY) return;
    this.fading = setTimeout(() => this.drawSoon(), Math.max(50, at - Date.now() + 20));
  }

  private tellSoon(): void {
    this.telling ??= setTimeout(() => {
      this.telling = null;
      this.tell();
    }, TELL_MS);
  }

  private tell(): void {
    const { anchor, head } = this.view.state.selection.main;
    if (head > this.text.length || anchor > this.text.length) return;
    const cursor = {
      anchor: Y.createRelativePositionFromTypeIndex(this.text, anchor),
      head: Y.createRelativePositionFromTypeIndex(this.text, head),
    };
    const said = JSON.stringify(cursor);
    if (said === this.told) return;
    this.told = said;
    this.awareness.setLocalStateField("cursor", cursor);
  }
}

interface PeerState {
  user?: { id?: string; name?: string; color?: string };
  cursor?: { anchor: unknown; head: unknown } | null;
}

function selection(colour: string): Decoration {
  return Decoration.mark({ class: "cm-peer-selection", attributes: { style: `--peer: ${colour}` } });
}

/** Null when the place is unknown here, or no place at all: what peers send is theirs to get wrong. */
function placeOf(json: unknown, text: Y.Text, doc: Y.Doc): number | null {
  if (typeof json !== "object" || json === null) return null;
  let place: Y.AbsolutePosition | null;
  try {
    place = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(json), doc);
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
  return place !== null && place.type === text ? place.index : null;
}

/** Where the caret of somebody is; null when he has none here. */
export function caretOf(id: string, text: Y.Text, awareness: Awareness): number | null {
  if (text.doc === null) return null;
  for (const [client, raw] of awareness.getStates()) {
    const { user, cursor } = raw as PeerState;
    if (client === awareness.clientID || !cursor || (user?.id ?? String(client)) !== id) continue;
    const place = placeOf(cursor.head, text, text.doc);
    if (place !== null) return place;
  }
  return null;
}

export function cursors(text: Y.Text, awareness: Awareness): Extension {
  return ViewPlugin.define((view) => new Cursors(view, text, awareness), {
    decorations: (plugin) => plugin.decorations,
  });
}
