/**
 * One Yjs document of one file, its connection, and the ledger of what of it is saved. A live file has one, and a second one
 * while it changes over to a fresh document.
 *
 * It tells its keeper what happens and decides nothing.
 */

import * as decoding from "lib0/decoding";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { syncUrl } from "../base.ts";
import { Ledger } from "./ledger.ts";
import { tellingSocket } from "./socket.ts";

/** The server's own messages (subprotocol quire.v1), and the one that it sends when something is on disk. */
const QUIRE_MESSAGE = 8;
const SAVED = 1;
const DENIED = 2;
const SYNC = 0;
const STEP1 = 0;

/** Should the server announce more than it sends, the text is shown anyway, as far as it came. */
const PATIENCE_MS = 1_500;

export interface Keeper {
  /** Typed, saved, synced: something of the ledger is different. */
  changed(replica: Replica): void;
  status(replica: Replica, status: "connected" | "connecting" | "disconnected"): void;
  /** All that the server had when we connected is here. */
  complete(replica: Replica): void;
  lost(replica: Replica): void;
  /** For good: the server closed with a code that says so. */
  ended(replica: Replica, code: number, reason: string): void;
  denied(replica: Replica, reason: string): void;
}

export class Replica {
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText("content");
  readonly undo = new Y.UndoManager(this.text);
  readonly ledger = new Ledger();
  readonly provider: WebsocketProvider;
  private readonly keeper: Keeper;
  private saved = "";
  /** All of the document is saved, but `saved` may be older: it is read only before an edit, so that typing copies no text. */
  private savedStale = true;
  /** What the server said it has (its step 1): client to clock. Its answer may come in parts, the last of them after step 2. */
  private announced = new Map<number, number>();
  private awaiting = false;
  private impatience: ReturnType<typeof setTimeout> | null = null;

  constructor(room: string, user: { name: string; color: string }, keeper: Keeper) {
    this.keeper = keeper;
    this.listen();
    this.provider = new WebsocketProvider(syncUrl(), room, this.doc, {
      protocols: ["quire.v1"],
      // Other tabs would show edits that no disk holds yet: everything goes by way of the log.
      disableBc: true,
      WebSocketPolyfill: tellingSocket({
        opened: () => this.ledger.opened(),
        sent: (frame) => this.ledger.sent(frame),
      }),
    });
    this.follow(this.provider);
    this.provider.awareness.setLocalStateField("user", user);
  }

  /** The text as it stood when everything was last saved: what the unsaved edits were made on. */
  get base(): string {
    return this.savedStale ? this.text.toString() : this.saved;
  }

  close(): void {
    this.patience(null);
    this.provider.destroy();
    this.undo.destroy();
    this.doc.destroy();
  }

  /** Before the provider does, so that an edit is counted before its message leaves. */
  private listen(): void {
    this.doc.on("beforeTransaction", ({ origin }: Y.Transaction) => {
      if (!this.savedStale || origin === this.provider) return;
      this.saved = this.text.toString();
      this.savedStale = false;
    });
    this.doc.on("update", (_update: Uint8Array, origin: unknown) => {
      if (origin !== this.provider) {
        this.ledger.edited();
        this.changed();
      } else if (this.awaiting && this.hasAnnounced()) this.completed();
    });
  }

  private follow(provider: WebsocketProvider): void {
    const sync = provider.messageHandlers[SYNC];
    provider.messageHandlers[SYNC] = (encoder, decoder, ...rest) => {
      const start = decoder.pos;
      if (decoding.readVarUint(decoder) === STEP1) {
        this.announced = Y.decodeStateVector(decoding.readVarUint8Array(decoder));
      }
      decoder.pos = start;
      sync?.(encoder, decoder, ...rest);
    };
    provider.messageHandlers[QUIRE_MESSAGE] = (_encoder, decoder) => this.heard(decoder);
    provider.messageHandlers[DENIED] = (_encoder, decoder) => {
      decoding.readVarUint(decoder);
      this.keeper.denied(this, decoding.readVarString(decoder));
    };
    provider.on("status", ({ status }) => this.keeper.status(this, status));
    provider.on("sync", (synced: boolean) => {
      this.ledger.heard(synced);
      this.awaiting = synced;
      if (synced && this.hasAnnounced()) this.completed();
      else if (synced) this.patience(setTimeout(() => this.completed(), PATIENCE_MS));
      this.changed();
    });
    provider.on("connection-close", () => {
      this.ledger.closed();
      this.awaiting = false;
      this.patience(null);
      this.keeper.lost(this);
      this.changed();
    });
    provider.on("closed", ({ code, reason }) => this.keeper.ended(this, code, reason));
  }

  private hasAnnounced(): boolean {
    const have = Y.decodeStateVector(Y.encodeStateVector(this.doc));
    return [...this.announced].every(([client, clock]) => (have.get(client) ?? 0) >= clock);
  }

  private completed(): void {
    this.awaiting = false;
    this.patience(null);
    this.keeper.complete(this);
  }

  private patience(timer: ReturnType<typeof setTimeout> | null): void {
    if (this.impatience !== null) clearTimeout(this.impatience);
    this.impatience = timer;
  }

  private heard(decoder: decoding.Decoder): void {
    if (decoding.readVarUint(decoder) !== SAVED) return;
    decoding.readVarUint(decoder); // the position: which entry of the log, not needed here
    this.ledger.saved(decoding.readVarUint(decoder));
    this.changed();
  }

  private changed(): void {
    if (this.ledger.settled) this.savedStale = true;
    this.keeper.changed(this);
  }
}
