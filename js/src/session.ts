// The session: what outlives connections. Who it is, what it has taken, what it has to say.

import { Calls } from "./calls";
import { Channels } from "./channels";
import { decode } from "./codec";
import type { Failure } from "./error";
import { type Line, parse } from "./line";
import { Listeners } from "./listeners";
import { type Entry, Log } from "./log";
import type { StateInfo } from "./states";

/** The JSON of `w`. */
export interface Welcome {
  id: string;
  resume: string;
  recovered?: number;
  got?: number;
  gap?: string;
  limits?: { beat?: number };
}

/** An acknowledgement must be sent when so many lines or characters, or so many milliseconds, went without one. */
const ackLines = 64;
const ackSize = 64 << 10;
const ackAfter = 5_000;

export class Session {
  readonly log = new Log();
  readonly calls: Calls;
  readonly channels: Channels;
  readonly events = new Listeners<[type: string, data: unknown]>();

  /** The public id, empty before the first welcome. */
  id = "";
  /** Counts sessions, so that the result of an older one's request can be told. */
  epoch = 0;
  /** Milliseconds between the server's pings. */
  beat = 25_000;

  /** In memory only: a duplicated tab must not inherit it. */
  token = "";
  /** Why the token was given up. */
  private forgotten = "";
  private tries = 0;
  private seen = 0;
  private acked = 0;
  private size = 0;
  private ackTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    /** Something is to be written; must not write before it returns. */
    private readonly wake: () => void,
  ) {
    this.calls = new Calls(this.log, wake);
    this.channels = new Channels(this.calls, this.log);
  }

  /** The members of a hello that say which session it means. */
  hello(): object {
    this.tries++;
    this.acked = this.seen;
    return this.token ? { resume: this.token, seen: this.seen, try: this.tries } : {};
  }

  /**
   * Applies a welcome. Undefined when it contradicts the log; else `seen`, the number of the last line from before it.
   * Not `exact`: an answer to a POST may have told more than the welcome, which was written earlier.
   */
  welcome(welcome: Welcome, exact: boolean): { seen: number; info: StateInfo } | undefined {
    const { recovered, got = 0, limits } = welcome;
    const resumed = recovered !== undefined;
    if (resumed && ((exact && got < this.log.taken) || !this.log.take(got))) return undefined;
    this.beat = limits?.beat ?? this.beat;
    this.token = welcome.resume;
    this.id = welcome.id;
    return resumed ? { seen: this.seen, info: { recovered } } : { seen: 0, info: this.restart(welcome.gap) };
  }

  /** The next hello asks for a new session. */
  forget(why: string): void {
    this.token = "";
    this.forgotten = why;
  }

  /** Ends the session for good: what waits for an answer fails. */
  end(failure: Failure): void {
    this.forget("closed");
    this.calls.failAll(failure);
    this.log.restart();
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
  }

  /** Takes the counted line `number`. False when lines before it are missing. */
  take(number: number, head: string, octets?: Uint8Array): boolean {
    if (number <= this.seen) return true;
    if (number > this.seen + 1) return false;
    this.seen = number;
    this.size += head.length + (octets?.length ?? 0);
    if (number - this.acked >= ackLines || this.size >= ackSize) this.wake();
    else this.ackTimer ??= setTimeout(this.wake, ackAfter);
    this.dispatch(head, octets);
    return true;
  }

  /** The line that acknowledges what was taken, or nothing when the server knows or is told anyway. */
  acknowledge(always = false): string {
    if (this.seen === this.acked && !always) return "";
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
    this.size = 0;
    this.acked = this.seen;
    return `a ${this.seen}\n`;
  }

  /** The acknowledgement may not have arrived. */
  unacknowledge(): void {
    this.acked = -1;
  }

  /** Writes a line that answers nothing and waits for nothing. Throws what Log.add throws. */
  say(head: string, payload?: string | Uint8Array, needed = false): void {
    this.log.add(head, payload, needed);
    this.wake();
  }

  /** A line is too long for something on its way. */
  drop(entry: Entry): void {
    this.calls.failEntry(entry, { code: "too_large", message: "too large for a server on the way" });
    this.log.blank(entry);
  }

  private restart(gap?: string): StateInfo {
    const first = !this.epoch++;
    this.seen = this.acked = this.size = 0;
    const waiting = this.log.restart();
    const lost = this.calls.lose();
    this.channels.renew();
    this.log.restore(waiting);
    return first ? {} : { gap: gap ?? this.forgotten, lost };
  }

  private dispatch(head: string, octets?: Uint8Array): void {
    const line = parse(head, octets);
    if (!line) return this.refuse(0, "malformed");
    const { op, id, name } = line;
    switch (op) {
      case "r":
        return this.calls.answer(id, () => read(line));
      case "z":
        return this.calls.answer(id, () => undefined);
      case "e":
        return this.failed(id, failureOf(line));
      case "m":
        return this.hand(line, (data) => this.events.tell(name, data));
      case "b":
        return this.hand(line, (value) => this.channels.deliver(name, value));
      case "u":
        return this.channels.end(name, failureOf(line));
      case "c":
        return this.refuse(id, "not_found");
      case "x":
      case "n":
      case "g":
        return; // for an id that is not open: this client takes no calls and no streams
    }
    this.refuse(id || 0, "unsupported");
  }

  private failed(id: number, failure: Failure): void {
    if (id) this.calls.fail(id, failure);
    else console.warn("ape: the server could not read a line:", failure);
  }

  /**
   * Gives a value to the page in a microtask of its own: who awaits an answer runs in a microtask too,
   * so everything is seen in the order in which the server sent it.
   */
  private hand(line: Line, tell: (value: unknown) => void): void {
    try {
      const value = read(line);
      queueMicrotask(() => tell(value));
    } catch (error) {
      console.error(`ape: what came for ${line.name} cannot be read:`, error);
    }
  }

  private refuse(id: number, code: string): void {
    this.say(`e ${id}`, `{"code":"${code}"}`, true);
  }
}

/** The value of a payload; undefined when there is none. */
function read({ payload }: Line): unknown {
  return typeof payload === "string" ? decode(payload) : payload;
}

function failureOf(line: Line): Failure {
  try {
    return { code: "failed", ...(read(line) as object) };
  } catch {
    return { code: "failed" };
  }
}
