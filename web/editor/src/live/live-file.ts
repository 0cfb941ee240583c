/**
 * One live file of this tab: its Yjs document, the connection that keeps it current, and what of it is saved.
 *
 * What ends a connection for good is a state, never an exception:
 *
 *   connecting -> live <-> offline       the provider tries again by itself
 *   refused                              not, or no longer, allowed (4401, 4403); goes on after a login
 *   gone                                 the file was deleted (4404)
 *   connecting again                     the server holds another document than we (4409): a fresh one is opened, and what was
 *                                        not saved is merged into it over the text that was saved last
 *   replaced                             the fresh one was refused too: another file stands at this path now. Whoever opens that
 *                                        one hands it what `unsavedWork` gives
 *   broken                               too large, or a bad message (4413, 4400)
 *
 * Text that could not be merged is kept in `recovered` until somebody has decided about it. Nothing is thrown away here.
 */

import { computed, signal } from "@preact/signals";
import * as decoding from "lib0/decoding";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { syncUrl } from "../base.ts";
import { Ledger } from "./ledger.ts";
import { edits, merge } from "./merge.ts";
import { tellingSocket } from "./socket.ts";

export type LinkState = "connecting" | "live" | "offline" | "refused" | "gone" | "replaced" | "broken";
export type SaveState = "connecting" | "saved" | "saving" | "offline";

/** The server's own messages (subprotocol quire.v1), and the one that it sends when something is on disk. */
const QUIRE_MESSAGE = 8;
const SAVED = 1;
const DENIED = 2;

/** A server that holds another document again and again is not to be asked for ever. */
const MOST_MOVES = 5;

/** Origin of what a merge brings in: an edit of this tab, and not one that undo should know. */
const CARRIED = Symbol("carried over");

export interface Work {
  base: string;
  ours: string;
}

export interface Recovered {
  /** Our whole text, as it was when it could not be merged. */
  text: string;
}

export class LiveFile {
  readonly id: string;
  private project: string;
  private readonly self: () => { name: string; color: string };
  private ledger = new Ledger();
  /** The text as it stood when everything was last saved. */
  private base = "";
  /** What is in the document is saved, but `base` may be older: it is read only before an edit, so that typing copies no text. */
  private baseStale = true;
  private closed = false;
  private moves = 0;
  private carrying: Work | null = null;

  doc = new Y.Doc();
  undo = new Y.UndoManager([]);
  provider: WebsocketProvider;

  /** Grows when `doc` is another one: whoever shows it shows it anew. */
  readonly generation = signal(0);
  readonly link = signal<LinkState>("connecting");
  /** True once the document has been received; before that its text is not the file's. */
  readonly loaded = signal(false);
  readonly settled = signal(false);
  readonly pending = signal(0);
  readonly reason = signal("");
  readonly recovered = signal<Recovered | null>(null);
  readonly carried = signal(0);

  readonly save = computed<SaveState>(() => {
    const trying = this.link.value === "connecting" || this.link.value === "live";
    if (trying && !this.loaded.value) return "connecting";
    if (this.link.value !== "live") return "offline";
    if (this.settled.value) return "saved";
    return "saving";
  });
  readonly unsaved = computed(() => {
    this.generation.value;
    return this.pending.value > 0 || this.recovered.value !== null || this.carrying !== null;
  });

  constructor(project: string, id: string, self: () => { name: string; color: string }) {
    this.project = project;
    this.id = id;
    this.self = self;
    this.provider = this.connect();
  }

  get text(): Y.Text {
    return this.doc.getText("content");
  }

  /** Tries at once instead of waiting for the next attempt; after a login, also what had been refused. */
  retry(): void {
    if (this.closed || this.link.value === "live") return;
    if (this.link.value === "refused" || this.link.value === "gone") this.link.value = "connecting";
    if (this.provider.ws === null) this.provider.connect();
  }

  /** What the server has not taken: our text, and the saved one that it was made from. Null when there is nothing. */
  unsavedWork(): Work | null {
    if (this.carrying) return this.carrying;
    return this.ledger.pending > 0 ? { base: this.base, ours: this.text.toString() } : null;
  }

  /** Work on a document that this one has taken the place of: merged in as soon as this one's text is there. */
  adopt(work: Work): void {
    this.carrying = work;
    if (this.loaded.peek()) this.carryOver();
  }

  /** The project has another name now; the next connection uses it. */
  projectRenamed(name: string): void {
    this.project = name;
    this.provider.roomname = this.room();
  }

  private room(): string {
    return `${encodeURIComponent(this.project)}/~${this.id}`;
  }

  /** The text that was recovered has found its place, or is not wanted. */
  forget(): void {
    this.recovered.value = null;
  }

  close(): void {
    this.closed = true;
    this.provider.destroy();
    this.undo.destroy();
    this.doc.destroy();
  }

  private connect(): WebsocketProvider {
    const { doc, ledger } = this;
    this.undo = new Y.UndoManager(this.text);
    doc.on("beforeTransaction", (transaction: Y.Transaction) => {
      if (!this.baseStale || transaction.origin === this.provider || this.doc !== doc) return;
      this.base = this.text.toString();
      this.baseStale = false;
    });
    // Before the provider's own handler, so that an edit is counted before its message leaves.
    doc.on("update", (_update: Uint8Array, origin: unknown) => {
      if (this.doc === doc && origin !== this.provider) {
        ledger.edited();
        this.look();
      }
    });
    const provider = new WebsocketProvider(syncUrl(), this.room(), doc, {
      protocols: ["quire.v1"],
      // Other tabs would show edits that no disk holds yet: everything goes by way of the log.
      disableBc: true,
      WebSocketPolyfill: tellingSocket({
        opened: () => ledger.opened(),
        sent: (frame) => ledger.sent(frame),
      }),
    });
    provider.messageHandlers[QUIRE_MESSAGE] = (_encoder, decoder) => this.heard(decoder);
    provider.messageHandlers[DENIED] = (_encoder, decoder) => {
      decoding.readVarUint(decoder);
      this.reason.value = decoding.readVarString(decoder);
    };
    provider.on("status", ({ status }) => {
      if (this.provider === provider) this.statusChanged(status);
    });
    provider.on("sync", (synced: boolean) => {
      if (this.provider === provider) this.synced(synced);
    });
    provider.on("connection-close", () => {
      if (this.provider === provider) this.lost();
    });
    provider.on("closed", ({ code, reason }) => {
      if (this.provider === provider) this.ended(code, reason);
    });
    provider.awareness.setLocalStateField("user", this.self());
    return provider;
  }

  private heard(decoder: decoding.Decoder): void {
    if (decoding.readVarUint(decoder) !== SAVED) return;
    decoding.readVarUint(decoder); // the position: which entry of the log, not needed here
    this.ledger.saved(decoding.readVarUint(decoder));
    this.look();
  }

  private statusChanged(status: "connected" | "connecting" | "disconnected"): void {
    if (status === "connected") this.link.value = "live";
    else if (status === "disconnected") this.link.value = "offline";
    else if (this.link.value === "live") this.link.value = "connecting";
  }

  private synced(synced: boolean): void {
    this.ledger.heard(synced);
    if (synced) {
      this.loaded.value = true;
      this.reason.value = "";
      this.carryOver();
    }
    this.look();
  }

  private lost(): void {
    this.ledger.closed();
    if (this.link.value !== "refused" && this.link.value !== "gone") this.link.value = "offline";
    this.look();
  }

  private ended(code: number, reason: string): void {
    this.reason.value = reason;
    if (code === 4409 && this.generation.peek() > 0 && !this.loaded.peek()) this.link.value = "replaced";
    else if (code === 4409 && this.moves < MOST_MOVES) this.moveOn();
    else if (code === 4401 || code === 4403) this.link.value = "refused";
    else if (code === 4404) this.link.value = "gone";
    else this.link.value = "broken";
  }

  /** After every change of anything: what is saved now. */
  private look(): void {
    this.pending.value = this.ledger.pending;
    this.settled.value = this.ledger.settled;
    if (this.ledger.settled) this.baseStale = true;
  }

  private moveOn(): void {
    this.moves += 1;
    this.carrying = this.unsavedWork();
    const before = { doc: this.doc, provider: this.provider, undo: this.undo };
    this.doc = new Y.Doc();
    this.ledger = new Ledger();
    this.baseStale = true;
    this.loaded.value = false;
    this.link.value = "connecting";
    this.provider = this.connect();
    this.generation.value += 1;
    before.provider.destroy();
    before.undo.destroy();
    before.doc.destroy();
    this.look();
  }

  private carryOver(): void {
    const { carrying } = this;
    if (carrying === null) return;
    this.carrying = null;
    const theirs = this.text.toString();
    const merged = merge(carrying.base, carrying.ours, theirs);
    if (merged === null) {
      this.recovered.value = { text: carrying.ours };
      return;
    }
    this.doc.transact(() => {
      for (const edit of edits(theirs, merged).toReversed()) {
        this.text.delete(edit.from, edit.to - edit.from);
        this.text.insert(edit.from, edit.insert);
      }
    }, CARRIED);
    this.carried.value += 1;
  }
}
