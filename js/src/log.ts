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
  /** When it was first written, and for whose keys. */
  sent?: number;
  keptBy?: string;
}

export type Log = ReturnType<typeof createLog>;

/** Bytes that may wait for the server. */
const bound = 1 << 20;
/** No item's line has a longer head. */
const mostHead = 32;

/** `wake` is called when a line was added, and must not write before it returns. */
export function createLog(wake: () => void) {
  /** In order: the first is the one behind the last that the server has taken. */
  let entries = new Set<Entry>();
  let bytes = 0;
  /** Number of the last line that was written. */
  let written = 0;
  /** Those who wait for room. */
  const crowd: (() => void)[] = [];

  const log = {
    /** Number of the last line that the server has taken. */
    taken: 0,
    /** Counts beginnings, so that what belongs to an older session can be told. */
    epoch: 0,
    /** The name of the server's table of keys. */
    keptBy: "" as string | undefined,

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
      entry.waiting = false;
      remove(entry);
      return true;
    },

    /** The lines behind number `from`, at most `limit` bytes of them but at least one. They count as written. */
    after(from: number, limit: number): Entry[] {
      const found: Entry[] = [];
      let number = log.taken;
      for (const entry of entries) {
        if (number++ < from) continue;
        limit -= entry.size;
        if (found.length && limit < 0) break;
        found.push(entry);
        entry.waiting = false;
        entry.sent ??= Date.now();
        entry.keptBy ??= log.keptBy;
      }
      written = Math.max(written, from + found.length);
      return found;
    },

    /** The server has taken all up to `number`. False when it cannot have. */
    take(number: number): boolean {
      if (!(number <= written)) return false;
      for (const entry of entries) {
        if (log.taken >= number) break;
        log.taken++;
        remove(entry);
      }
      return true;
    },

    /** Waits until a stream may add an item to what waits: half of the room is left to everything else. */
    async room(item?: string | Uint8Array): Promise<void> {
      const size = Math.max(bound / 2, sizeOf(item) + mostHead);
      while (bytes && bytes + size > bound) await new Promise<void>((go) => crowd.push(go));
    },

    /**
     * Begins again at number 1: `first` adds lines, those that were never written follow, but for those that are about
     * something of the old session.
     */
    restart(first: () => void): void {
      const old = entries;
      entries = new Set();
      bytes = written = log.taken = 0;
      log.epoch++;
      first();
      for (const entry of old) if (entry.waiting && /^[csum] /.test(entry.head)) keep(entry);
    },
  };
  return log;

  function keep(entry: Entry): void {
    entries.add(entry);
    bytes += entry.size;
  }

  function remove(entry: Entry): void {
    entries.delete(entry);
    bytes -= entry.size;
    entry.payload = undefined;
    crowd.splice(0).forEach((go) => go());
  }
}

/** UTF-8 of text; base64 of bytes, which is what they are on one of the transports. */
function sizeOf(text: string | Uint8Array = ""): number {
  return typeof text === "string" ? new TextEncoder().encode(text).length + 1 : (text.length * 4) / 3;
}
