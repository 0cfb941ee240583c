/**
 * Something that failed in passing is tried again: soon at first, then more and more rarely, until it worked.
 * `now` tries at once what waits, and does nothing when nothing waits.
 */

const FIRST_MS = 500;
const LAST_MS = 15_000;

export class Again {
  private readonly work: () => void;
  private readonly first: number;
  private readonly last: number;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private wait: number;
  private stopped = false;

  constructor(work: () => void, first = FIRST_MS, last = LAST_MS) {
    this.work = work;
    this.first = first;
    this.last = last;
    this.wait = first;
  }

  get waiting(): boolean {
    return this.timer !== null;
  }

  /** True when nothing has failed since it last worked. */
  get fresh(): boolean {
    return this.wait === this.first && !this.waiting;
  }

  failed(): void {
    if (this.stopped || this.timer !== null) return;
    this.timer = setTimeout(() => this.run(), this.wait);
    this.wait = Math.min(this.last, this.wait * 2);
  }

  worked(): void {
    this.clear();
    this.wait = this.first;
  }

  now(): void {
    if (!this.waiting) return;
    this.wait = this.first;
    this.run();
  }

  stop(): void {
    this.stopped = true;
    this.clear();
  }

  private run(): void {
    this.clear();
    this.work();
  }

  private clear(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
