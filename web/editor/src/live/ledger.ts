/**
 * What of our typing the server has made durable. PURE: told what happens, it says what is true.
 *
 * The server acknowledges by counting: on one socket, the first n messages that brought it updates (sync step 2 and update).
 * The ledger remembers for each such message which of our edits it covered. Invariants:
 *
 *   1. An edit is pending from the moment it is made until a message that covers it was acknowledged on the socket that sent it.
 *   2. A new socket begins a new count; what was sent on the old one and not acknowledged is pending again.
 *   3. `settled` is true only when the socket is synced, it has sent its step 2 (which covers everything made while there was
 *      no socket), every message was acknowledged, and nothing is pending.
 */

export class Ledger {
  private edits = 0;
  private durable = 0;
  private covers: number[] = [];
  private acknowledged = 0;
  private answered = false;
  private synced = false;

  /** Somebody typed here. Told before the message that carries it is sent. */
  edited(): void {
    this.edits += 1;
  }

  opened(): void {
    this.covers = [];
    this.acknowledged = 0;
    this.answered = false;
    this.synced = false;
  }

  /** A frame left on the present socket. Only those that bring updates count. */
  sent(frame: Uint8Array): void {
    const step = updateStep(frame);
    if (step === null) return;
    if (step === "step2") this.answered = true;
    this.covers.push(this.answered ? this.edits : this.durable);
  }

  /** The server: the first `count` messages of this socket are durable. Never goes back. */
  saved(count: number): void {
    const known = Math.min(count, this.covers.length);
    if (known <= this.acknowledged) return;
    this.acknowledged = known;
    this.durable = Math.max(this.durable, this.covers[known - 1] ?? 0);
  }

  heard(synced: boolean): void {
    this.synced = synced;
  }

  closed(): void {
    this.opened();
  }

  /** How many edits were made here that are not known to be durable. */
  get pending(): number {
    return this.edits - this.durable;
  }

  get settled(): boolean {
    return this.synced && this.answered && this.acknowledged === this.covers.length && this.pending === 0;
  }
}

/** y-protocols: message type 0 is sync; its second byte 1 is step 2, 2 is an update. Both are single-byte varints. */
export function updateStep(frame: Uint8Array): "step2" | "update" | null {
  if (frame[0] !== 0) return null;
  if (frame[1] === 1) return "step2";
  return frame[1] === 2 ? "update" : null;
}
