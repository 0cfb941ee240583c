/**
 * One live file of this tab: its text, whether it is connected, and what of it is saved.
 *
 * What ends a connection for good is a state, never an exception:
 *
 *   connecting -> live <-> offline       the provider tries again by itself
 *   refused                              not, or no longer, allowed (4401, 4403); goes on after a login
 *   gone                                 the file was deleted (4404)
 *   connecting again                     the server holds another document than we (4409). A fresh one is opened beside ours, in
 *                                        which one can go on typing; when it is there, what was not saved is merged into it
 *                                        over the text that was saved last, and it takes our place
 *   replaced                             the fresh one was refused too: another file stands at this path now. Whoever opens that
 *                                        one hands it what `unsavedWork` gives
 *   broken                               too large, or a bad message (4413, 4400)
 *
 * Text that could not be merged is kept in `recovered` until somebody has decided about it. Nothing is thrown away here.
 */

import { computed, signal } from "@preact/signals";
import type * as Y from "yjs";
import { edits, merge } from "./merge.ts";
import { type Keeper, Replica } from "./replica.ts";

export type LinkState = "connecting" | "live" | "offline" | "refused" | "gone" | "replaced" | "broken";
export type SaveState = "connecting" | "saved" | "saving" | "offline";

/** A server that holds another document again and again is not to be asked for ever. */
const MOST_MOVES = 5;

const SETTLE_MS = 150;

/** Origin of what a merge brings in: an edit of this tab, and not one that undo should know. */
const CARRIED = Symbol("carried over");

/** Our text, and the saved one that it was made from. */
export interface Work {
  base: string;
  ours: string;
}

export class LiveFile implements Keeper {
  readonly id: string;
  private project: string;
  private readonly self: () => { name: string; color: string };
  private now: Replica;
  private next: Replica | null = null;
  private carrying: Work | null = null;
  private moves = 0;
  private closed = false;
  private settling: ReturnType<typeof setTimeout> | null = null;

  /** Grows when the document is another one: whoever shows it shows it anew. */
  readonly generation = signal(0);
  readonly link = signal<LinkState>("connecting");
  /** True once a document has been received; before that its text is not the file's. */
  readonly loaded = signal(false);
  readonly settled = signal(false);
  readonly pending = signal(0);
  readonly reason = signal("");
  /** Our whole text, as it was when it could not be merged. */
  readonly recovered = signal<string | null>(null);
  /** How often unsaved work was carried over. */
  readonly carried = signal(0);

  readonly save = computed<SaveState>(() => {
    const trying = this.link.value === "connecting" || this.link.value === "live";
    if (!trying) return "offline";
    if (!this.loaded.value) return "connecting";
    return this.settled.value ? "saved" : "saving";
  });
  readonly unsaved = computed(() => this.pending.value > 0 || this.recovered.value !== null);

  constructor(project: string, id: string, self: () => { name: string; color: string }) {
    this.project = project;
    this.id = id;
    this.self = self;
    this.now = this.replica();
  }

  get text(): Y.Text {
    return this.now.text;
  }

  get undo(): Y.UndoManager {
    return this.now.undo;
  }

  get awareness(): Replica["provider"]["awareness"] {
    return this.now.provider.awareness;
  }

  /** Tries at once instead of waiting for the next attempt; after a login, also what had been refused. */
  retry(): void {
    const link = this.link.peek();
    if (this.closed || link === "live" || link === "broken" || link === "replaced") return;
    if (link !== "offline") this.link.value = "connecting";
    const { provider } = this.next ?? this.now;
    if (provider.ws === null) provider.connect();
  }

  /** What the server has not taken; null when there is nothing. */
  unsavedWork(): Work | null {
    if (this.carrying) return this.carrying;
    return this.now.ledger.pending > 0 ? { base: this.now.base, ours: this.text.toString() } : null;
  }

  /** Work on a document that this one has taken the place of: merged in as soon as this one's text is there. */
  adopt(work: Work): void {
    this.carrying = work;
    if (this.loaded.peek()) this.carryOver();
    else this.look();
  }

  /** The project has another name now; the next connection uses it. */
  projectRenamed(name: string): void {
    this.project = name;
    for (const replica of [this.now, this.next]) if (replica) replica.provider.roomname = this.room();
  }

  /** The text that was recovered has found its place, or is not wanted. */
  forget(): void {
    this.recovered.value = null;
  }

  close(): void {
    this.closed = true;
    if (this.settling !== null) clearTimeout(this.settling);
    this.now.close();
    this.next?.close();
  }

  // What a replica tells.

  changed(replica: Replica): void {
    if (replica === this.now) this.look();
  }

  status(replica: Replica, status: "connected" | "connecting" | "disconnected"): void {
    if (!this.speaks(replica)) return;
    if (status === "connected") this.link.value = replica === this.now ? "live" : "connecting";
    else if (status === "disconnected") this.link.value = "offline";
  }

  complete(replica: Replica): void {
    if (replica === this.next) this.changeOver(replica);
    if (replica !== this.now) return;
    this.reason.value = "";
    this.loaded.value = true;
    this.link.value = "live";
    this.carryOver();
  }

  lost(replica: Replica): void {
    if (this.speaks(replica) && (this.link.peek() === "live" || this.link.peek() === "connecting")) {
      this.link.value = "offline";
    }
  }

  ended(replica: Replica, code: number, reason: string): void {
    if (!this.speaks(replica)) return;
    this.reason.value = reason;
    if (code === 4409 && replica === this.now && this.moves < MOST_MOVES) this.moveOn();
    else if (code === 4409) this.link.value = "replaced";
    else if (code === 4401 || code === 4403) this.link.value = "refused";
    else if (code === 4404) this.link.value = "gone";
    else this.link.value = "broken";
  }

  denied(replica: Replica, reason: string): void {
    if (this.speaks(replica)) this.reason.value = reason;
  }

  /** While two are there, the fresh one tells how the connection is. */
  private speaks(replica: Replica): boolean {
    return !this.closed && replica === (this.next ?? this.now);
  }

  private replica(): Replica {
    return new Replica(this.room(), this.self(), this);
  }

  private room(): string {
    return `${encodeURIComponent(this.project)}/~${this.id}`;
  }

  private look(): void {
    const carrying = this.carrying === null ? 0 : 1;
    this.pending.value = this.now.ledger.pending + carrying;
    this.settle(this.now.ledger.settled && this.next === null && carrying === 0);
  }

  /** "No longer" at once, "yes" a moment late: otherwise it would flicker with every key. */
  private settle(settled: boolean): void {
    if (settled === (this.settling !== null || this.settled.peek())) return;
    if (this.settling !== null) clearTimeout(this.settling);
    this.settling = null;
    if (!settled) {
      this.settled.value = false;
      return;
    }
    this.settling = setTimeout(() => {
      this.settling = null;
      this.settled.value = true;
    }, SETTLE_MS);
  }

  private moveOn(): void {
    this.moves += 1;
    this.link.value = "connecting";
    this.next = this.replica();
    this.look();
  }

  private changeOver(fresh: Replica): void {
    const old = this.now;
    this.carrying = this.unsavedWork();
    this.now = fresh;
    this.next = null;
    this.carryOver();
    this.generation.value += 1;
    old.close();
    this.look();
  }

  private carryOver(): void {
    const { carrying } = this;
    if (carrying === null) return;
    this.carrying = null;
    const theirs = this.text.toString();
    const merged = merge(carrying.base, carrying.ours, theirs);
    if (merged === null) this.recovered.value = carrying.ours;
    else this.write(edits(theirs, merged));
    this.look();
  }

  private write(changes: ReturnType<typeof edits>): void {
    if (changes.length === 0) return;
    this.now.doc.transact(() => {
      for (const { from, to, insert } of changes.toReversed()) {
        this.text.delete(from, to - from);
        this.text.insert(from, insert);
      }
    }, CARRIED);
    this.carried.value += 1;
  }
}
