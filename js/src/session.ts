// The session: what outlives connections. Who it is, what it has taken, what it has to say.

import { createAcks } from "./acks";
import { type Open, createCalls } from "./calls";
import { createChannels } from "./channels";
import { type Tell, createDispatch } from "./dispatch";
import type { Failure } from "./error";
import { createHandlers } from "./handlers";
import { createLog } from "./log";
import type { StateInfo } from "./states";

/** The JSON of `w`. */
export interface Welcome {
  id: string;
  resume: string;
  recovered?: number;
  got?: number;
  gap?: string;
  keeper?: string;
  limits?: { beat?: number; keys?: number };
}

export type Session = ReturnType<typeof createSession>;

/** `wake` is called when something is to be written, and must not write before it returns; `event` when an event came. */
export function createSession(wake: () => void, event: Tell) {
  const log = createLog(wake);
  const acks = createAcks(wake);
  const calls = createCalls(log);
  const channels = createChannels(calls, log, event);
  const handlers = createHandlers(calls, log);
  const dispatch = createDispatch(calls, channels, handlers, event);
  /** Milliseconds for which the server remembers a key. */
  let keys = 300_000;
  /** Why the token was given up. */
  let forgotten = "";
  let tries = 0;
  let isFirst = true;

  const session = {
    log,
    acks,
    calls,
    channels,
    handlers,
    forget,
    /** The public id, empty before the first welcome. */
    id: "",
    /** In memory only: a duplicated tab must not inherit it. */
    token: "",
    /** Milliseconds between the server's pings. */
    beat: 25_000,

    /** The members of a hello that say which session it means. */
    hello(): object {
      tries++;
      return session.token ? { resume: session.token, seen: acks.told(), try: tries } : {};
    },

    /**
     * Applies a welcome. Undefined when it contradicts the log.
     * Not `exact`: an answer to a POST may have told more than the welcome, which was written earlier.
     */
    welcome({ id, resume, recovered, got = 0, gap = forgotten, limits, keeper }: Welcome, exact: boolean): StateInfo | undefined {
      const resumed = recovered !== undefined;
      if (resumed && ((exact && got < log.taken) || !log.take(got))) return undefined;
      session.beat = limits?.beat ?? session.beat;
      keys = limits?.keys ?? keys;
      log.keptBy = keeper;
      session.token = resume;
      session.id = id;
      return resumed ? { recovered } : restart(gap);
    },

    /** Takes the next counted line. */
    take(head: string, octets?: Uint8Array): void {
      acks.take(head.length + (octets?.length ?? 0));
      dispatch(head, octets);
    },

    /** Ends the session for good: what waits for an answer fails, what was not written never will be. */
    end(failure: Failure): void {
      forget("closed");
      calls.failSome(({ entry }) => (entry && log.withdraw(entry)) || true, failure);
      log.restart(() => {});
      acks.told();
    },
  };
  return session;

  /** The next hello asks for a new session. */
  function forget(why: string): void {
    session.token = "";
    forgotten = why;
  }

  function restart(gap: string): StateInfo {
    let lostCalls: StateInfo["lostCalls"] = [];
    acks.restart();
    log.restart(() => {
      const failure = { code: "lost", message: "the connection was lost" };
      const lost = calls.failSome((call) => !call.entry?.waiting && !repeat(call), failure);
      lostCalls = lost.map(({ path, key }) => ({ path, ...(key && { key }) }));
      channels.renew();
    });
    const info = isFirst ? {} : { gap, lost: lostCalls.length, lostCalls };
    isFirst = false;
    return info;
  }

  /** Sends a call again, if the server still knows its key. */
  function repeat(call: Open): boolean {
    const { again, entry } = call;
    if (!again || entry!.keptBy !== log.keptBy || Date.now() - entry!.sent! >= keys) return false;
    const { head, sent, keptBy } = entry!;
    call.entry = Object.assign(log.add(head, again[0], true), { sent, keptBy });
    return true;
  }
}
