// The session: what outlives connections. Who it is, what it has taken, what it has to say.

import { fromBase64 } from "./base64";
import { createCalls } from "./calls";
import { createChannels } from "./channels";
import { decode } from "./codec";
import type { Failure } from "./error";
import { parse } from "./line";
import { type Entry, createLog } from "./log";
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

export type Session = ReturnType<typeof createSession>;

/** An acknowledgement must be sent when so many lines or characters, or so many milliseconds, went without one. */
const ackLines = 64;
const ackSize = 64 << 10;
const ackAfter = 5_000;

/** `wake` is called when something is to be written, and must not write before it returns; `event` when an event came. */
export function createSession(wake: () => void, event: (type: string, data: unknown) => void) {
  const log = createLog();
  const calls = createCalls(log, wake);
  const channels = createChannels(calls, log);

  /** Why the token was given up. */
  let forgotten = "";
  let tries = 0;
  /** Number of the last line taken, and of the last one acknowledged. */
  let seen = 0;
  let acked = 0;
  /** Characters since then. */
  let size = 0;
  let ackTimer: ReturnType<typeof setTimeout> | undefined;

  const session = {
    log,
    calls,
    channels,
    say,
    /** The public id, empty before the first welcome. */
    id: "",
    /** In memory only: a duplicated tab must not inherit it. */
    token: "",
    /** Counts sessions, so that the result of an older one's request can be told. */
    epoch: 0,
    /** Milliseconds between the server's pings. */
    beat: 25_000,

    /** The members of a hello that say which session it means. */
    hello(): object {
      tries++;
      acked = seen;
      return session.token ? { resume: session.token, seen, try: tries } : {};
    },

    /**
     * Applies a welcome. Undefined when it contradicts the log; else `seen`, the number of the last line from before it.
     * Not `exact`: an answer to a POST may have told more than the welcome, which was written earlier.
     */
    welcome(welcome: Welcome, exact: boolean): { seen: number; info: StateInfo } | undefined {
      const { id, resume, recovered, got = 0, gap, limits } = welcome;
      const resumed = recovered !== undefined;
      if (resumed && ((exact && got < log.taken) || !log.take(got))) return undefined;
      session.beat = limits?.beat ?? session.beat;
      session.token = resume;
      session.id = id;
      return { info: resumed ? { recovered } : restart(gap), seen };
    },

    /** The next hello asks for a new session. */
    forget(why: string): void {
      session.token = "";
      forgotten = why;
    },

    /** Ends the session for good: what waits for an answer fails, what was not written never will be. */
    end(failure: Failure): void {
      session.forget("closed");
      calls.failSome((entry) => log.withdraw(entry) || true, failure);
      log.restart(() => {});
      clearTimeout(ackTimer);
      ackTimer = undefined;
    },

    /** Takes the counted line `number`. False when lines before it are missing. */
    take(number: number, head: string, octets?: Uint8Array): boolean {
      if (number <= seen) return true;
      if (number > seen + 1) return false;
      seen = number;
      size += head.length + (octets?.length ?? 0);
      if (number - acked >= ackLines || size >= ackSize) wake();
      else ackTimer ??= setTimeout(wake, ackAfter);
      dispatch(head, octets);
      return true;
    },

    /** The line that acknowledges what was taken, or nothing when the server knows or is told anyway. */
    acknowledge(always = false): string {
      if (seen === acked && !always) return "";
      clearTimeout(ackTimer);
      ackTimer = undefined;
      size = 0;
      acked = seen;
      return `a ${seen}\n`;
    },

    /** The acknowledgement may not have arrived. */
    unacknowledge(): void {
      acked = -1;
    },

    /** A line is too long for something on its way. */
    skip(line: Entry): void {
      calls.failSome((entry) => entry === line, { code: "too_large", message: "too large for a server on the way" });
      log.blank(line);
    },
  };
  return session;

  /** Writes a line that waits for no answer. Throws what Log.add throws. */
  function say(head: string, payload?: string | Uint8Array, needed = false): void {
    log.add(head, payload, needed);
    wake();
  }

  function restart(gap = forgotten): StateInfo {
    seen = acked = size = 0;
    let lost = 0;
    log.restart(() => {
      const failure = { code: "lost", message: "the connection was lost before the answer came" };
      lost = calls.failSome((entry) => !entry.waiting, failure);
      channels.renew();
    });
    return session.epoch++ ? { gap, lost } : {};
  }

  function dispatch(head: string, octets?: Uint8Array): void {
    const line = parse(head);
    if (!line) return refuse(0, "malformed");
    const { op, id, name, payload } = line;
    const value = () => read(payload, octets);
    if (op === "r" || op === "z") calls.answer(id, value);
    else if (op === "e" && id) calls.fail(id, failureOf(value));
    else if (op === "e") console.warn("ape: the server could not read a line:", payload);
    else if (op === "m") hand(name, value, event);
    else if (op === "b") hand(name, value, channels.deliver);
    else if (op === "u") channels.end(name, failureOf(value));
    // x n g for an id that is not open: this client takes no calls and no streams
    else if (!/^[xng]$/.test(op)) refuse(id, op === "c" ? "not_found" : "unsupported");
  }

  /**
   * Gives a value to the page in a microtask of its own: who awaits an answer runs in a microtask too,
   * so everything is seen in the order in which the server sent it.
   */
  function hand(name: string, value: () => unknown, tell: (name: string, value: unknown) => void): void {
    try {
      const data = value();
      queueMicrotask(() => tell(name, data));
    } catch (error) {
      console.error(`ape: what came for ${name} cannot be read:`, error);
    }
  }

  function refuse(id: number, code: string): void {
    say("e " + (id || 0), `{"code":"${code}"}`, true);
  }
}

/** The value of a payload; undefined when there is none. */
function read(payload?: string, octets?: Uint8Array): unknown {
  if (octets || payload === undefined) return octets;
  return payload[0] === "=" ? fromBase64(payload.slice(1)) : decode(payload);
}

function failureOf(value: () => unknown): Failure {
  try {
    return { code: "failed", ...(value() as object) };
  } catch {
    return { code: "failed" };
  }
}
