// The session: what outlives connections. Who it is, what it has taken, what it has to say.

import { Acks } from "./acks";
import { type Calls, createCalls } from "./calls";
import { type Channels, createChannels } from "./channels";
import { type Dispatch, type Tell, createDispatch } from "./dispatch";
import type { Failure } from "./error";
import { type Entry, type Log, createLog } from "./log";
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

export class Session {
  readonly log: Log;
  readonly acks: Acks;
  readonly calls: Calls;
  readonly channels: Channels;
  /** The public id, empty before the first welcome. */
  id = "";
  /** In memory only: a duplicated tab must not inherit it. */
  token = "";
  /** Counts sessions, so that the result of an older one's request can be told. */
  epoch = 0;
  /** Milliseconds between the server's pings. */
  beat = 25_000;

  private readonly dispatch: Dispatch;
  /** Why the token was given up. */
  private forgotten = "";
  private tries = 0;

  /** `wake` is called when something is to be written, and must not write before it returns; `event` when an event came. */
  constructor(wake: () => void, event: Tell) {
    this.log = createLog(wake);
    this.acks = new Acks(wake);
    this.calls = createCalls(this.log);
    this.channels = createChannels(this.calls, this.log, event);
    this.dispatch = createDispatch(this.log, this.calls, this.channels, event);
  }

  /** The members of a hello that say which session it means. */
  hello(): object {
    this.tries++;
    return this.token ? { resume: this.token, seen: this.acks.told(), try: this.tries } : {};
  }

  /**
   * Applies a welcome. Undefined when it contradicts the log.
   * Not `exact`: an answer to a POST may have told more than the welcome, which was written earlier.
   */
  welcome({ id, resume, recovered, got = 0, gap, limits }: Welcome, exact: boolean): StateInfo | undefined {
    const { log } = this;
    const resumed = recovered !== undefined;
    if (resumed && ((exact && got < log.taken) || !log.take(got))) return undefined;
    this.beat = limits?.beat ?? this.beat;
    this.token = resume;
    this.id = id;
    return resumed ? { recovered } : this.restart(gap);
  }

  /** Takes the next counted line. */
  take(head: string, octets?: Uint8Array): void {
    this.acks.take(head.length + (octets?.length ?? 0));
    this.dispatch(head, octets);
  }

  /** A line is too long for something on its way. */
  skip(line: Entry): void {
    this.calls.failSome((entry) => entry === line, { code: "too_large", message: "too large for a server on the way" });
    this.log.blank(line);
  }

  /** The next hello asks for a new session. */
  forget(why: string): void {
    this.token = "";
    this.forgotten = why;
  }

  /** Ends the session for good: what waits for an answer fails, what was not written never will be. */
  end(failure: Failure): void {
    this.forget("closed");
    this.calls.failSome((entry) => this.log.withdraw(entry) || true, failure);
    this.log.restart(() => {});
    this.acks.told();
  }

  private restart(gap = this.forgotten): StateInfo {
    this.acks.restart();
    let lost = 0;
    this.log.restart(() => {
      const failure = { code: "lost", message: "the connection was lost before the answer came" };
      lost = this.calls.failSome((entry) => !entry.waiting, failure);
      this.channels.renew();
    });
    return this.epoch++ ? { gap, lost } : {};
  }
}
