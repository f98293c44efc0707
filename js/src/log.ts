// What this client has to say: numbered lines, kept until the server has taken them.
//
// Numbers are not written: they follow from the order. So a line that was never written can be taken back.

import { ApeError } from "./error";

export interface Entry {
  head: string;
  payload?: string | Uint8Array;
  /** Bytes of the line in UTF-8. */
  size: number;
  /** Not written yet on any connection. */
  waiting: boolean;
}

/** Bytes that may wait for the server. */
const bound = 1 << 20;

export class Log {
  private entries: Entry[] = [];
  private bytes = 0;
  private withdrawn = 0;
  /** Number of the last line that the server has taken. */
  taken = 0;
  /** Number of the last line that was written. */
  written = 0;

  /** Adds a line. Throws `overflow` when too much waits, unless the protocol itself needs the line. */
  add(head: string, payload?: string | Uint8Array, needed = false): Entry {
    const size = new TextEncoder().encode(head).length + sizeOf(payload) + 2;
    if (!needed && this.bytes + size > bound) {
      throw new ApeError({ code: "overflow", message: "more than 1 MiB waits for the server" });
    }
    const entry = { head, payload, size, waiting: true };
    this.entries.push(entry);
    this.bytes += size;
    return entry;
  }

  /** Takes a line back. False when it has been written. */
  withdraw(entry: Entry): boolean {
    if (!entry.waiting) return false;
    entry.waiting = false;
    entry.payload = undefined;
    this.bytes -= entry.size;
    entry.size = 0;
    this.withdrawn++;
    if (this.withdrawn * 2 > this.entries.length) this.sweep();
    return true;
  }

  /** The lines behind number `from`, at most `limit` bytes of them but at least one. They count as written. */
  after(from: number, limit: number): Entry[] {
    this.sweep();
    const start = from - this.taken;
    let end = start;
    for (let size = 0; end < this.entries.length; end++) {
      size += this.entries[end].size;
      if (end > start && size > limit) break;
      this.entries[end].waiting = false;
    }
    this.written = Math.max(this.written, this.taken + end);
    return this.entries.slice(start, end);
  }

  /** The server has taken all up to `number`. False when it cannot have. */
  take(number: number): boolean {
    if (!(number <= this.written)) return false;
    for (const entry of this.entries.splice(0, Math.max(0, number - this.taken))) this.bytes -= entry.size;
    this.taken = Math.max(this.taken, number);
    return true;
  }

  /** Puts a line that says nothing in the place of one that cannot get through. The number stays. */
  blank(entry: Entry): void {
    this.bytes -= entry.size;
    Object.assign(entry, { head: "x 0", payload: undefined, size: 0 });
  }

  /** Begins again at number 1 and returns the lines that were never written, which are no longer in the log. */
  restart(): Entry[] {
    this.sweep();
    const waiting = this.entries.filter((entry) => entry.waiting);
    this.entries = [];
    this.bytes = this.taken = this.written = 0;
    return waiting;
  }

  /** Puts back what restart returned. */
  restore(waiting: Entry[]): void {
    for (const entry of waiting) {
      this.entries.push(entry);
      this.bytes += entry.size;
    }
  }

  private sweep(): void {
    if (!this.withdrawn) return;
    this.withdrawn = 0;
    const first = this.written - this.taken;
    this.entries = this.entries.filter((entry, i) => i < first || entry.waiting);
  }
}

function sizeOf(payload: string | Uint8Array = ""): number {
  return typeof payload === "string" ? new TextEncoder().encode(payload).length : Math.ceil(payload.length / 3) * 4;
}
