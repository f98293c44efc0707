// What this client has to say: numbered lines, kept until the server has taken them.
//
// Numbers are not written: they follow from the order. So a line that was never written can be taken back.

import { ApeError } from "./error";

export interface Entry {
  head: string;
  payload?: string | Uint8Array;
  /** Bytes of the line. */
  size: number;
  /** Not written yet on any connection. */
  waiting: boolean;
}

export type Log = ReturnType<typeof createLog>;

/** Bytes that may wait for the server. */
const bound = 1 << 20;

/** `wake` is called when a line was added, and must not write before it returns. */
export function createLog(wake: () => void) {
  let entries: Entry[] = [];
  let bytes = 0;
  let withdrawn = 0;
  /** Number of the last line that was written. */
  let written = 0;

  const log = {
    /** Number of the last line that the server has taken. */
    taken: 0,

    /** Adds a line. Throws `overflow` when too much waits, unless the protocol itself needs the line. */
    add(head: string, payload?: string | Uint8Array, needed = false): Entry {
      const entry = { head, payload, size: sizeOf(head) + sizeOf(payload), waiting: true };
      if (!needed && bytes + entry.size > bound) {
        throw new ApeError({ code: "overflow", message: "more than 1 MiB waits for the server" });
      }
      keep(entry);
      wake();
      return entry;
    },

    /** Takes a line back. False when it has been written. */
    withdraw(entry: Entry): boolean {
      if (!entry.waiting) return false;
      empty(entry);
      entry.waiting = false;
      if (++withdrawn * 2 > entries.length) sweep();
      return true;
    },

    /** The lines behind number `from`, at most `limit` bytes of them but at least one. They count as written. */
    after(from: number, limit: number): Entry[] {
      sweep();
      const start = from - log.taken;
      let end = start;
      for (let size = 0; end < entries.length; end++) {
        size += entries[end].size;
        if (end > start && size > limit) break;
        entries[end].waiting = false;
      }
      written = Math.max(written, log.taken + end);
      return entries.slice(start, end);
    },

    /** The server has taken all up to `number`. False when it cannot have. */
    take(number: number): boolean {
      if (!(number <= written)) return false;
      entries.splice(0, number - log.taken).forEach(empty);
      log.taken = Math.max(log.taken, number);
      return true;
    },

    /** Puts a line that says nothing in the place of one that cannot get through. The number stays. */
    blank(entry: Entry): void {
      empty(entry);
      entry.head = "x 0";
    },

    /** Begins again at number 1: `first` adds lines, those that were never written follow. */
    restart(first: () => void): void {
      const waiting = entries.filter((entry) => entry.waiting);
      entries = [];
      bytes = written = withdrawn = log.taken = 0;
      first();
      waiting.forEach(keep);
    },
  };
  return log;

  function keep(entry: Entry): void {
    entries.push(entry);
    bytes += entry.size;
  }

  function empty(entry: Entry): void {
    bytes -= entry.size;
    entry.size = 0;
    entry.payload = undefined;
  }

  function sweep(): void {
    if (!withdrawn) return;
    withdrawn = 0;
    entries = entries.filter((entry, i) => i < written - log.taken || entry.waiting);
  }
}

/** UTF-8 of text; base64 of bytes, which is what they are on one of the transports. */
function sizeOf(text: string | Uint8Array = ""): number {
  return typeof text === "string" ? new TextEncoder().encode(text).length + 1 : (text.length * 4) / 3;
}
