// The client: everything by name.

import { type Answer, type CallOptions, makeCall } from "./call";
import type { SubscribeOptions, Subscriber, Unsubscribe } from "./channels";
import { payloadOf } from "./codec";
import type { Settings, Transport } from "./connection";
import { ApeError } from "./error";
import type { Flow } from "./flow";
import type { Handler } from "./handlers";
import { writeName } from "./line";
import { createLink } from "./link";
import { type Listeners, type Off, createListeners } from "./listeners";
import type { State, StateInfo } from "./states";

export interface Message {
  type: string;
  data: unknown;
}

type Listener = (data: any) => void;

/** What `api.$` is. */
export interface Client {
  readonly id: string;
  readonly state: State;
  readonly transport: Transport | null;
  connect(): void;
  close(): void;
  call(path: string, data?: unknown, options?: CallOptions): Answer;
  stream(path: string, data?: unknown, options?: CallOptions): Flow;
  subscribe(channel: string, listener?: Subscriber | SubscribeOptions): Unsubscribe | Flow;
  handle(path: string, handler: Handler): Off;
  send(event: string, data?: unknown): void;
  on(event: string | Listener, listener?: Listener): Off;
  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off;
}

/** A client that connects when it is used. The settings are asked for then. */
export function createClient(configure: () => Settings, usual = 10_000, timeouts: Record<string, number> = {}): Client {
  const times = new Map(Object.entries(timeouts));
  const catchAll = createListeners<[message: Message]>();
  const named = new Map<string, Listeners<[data: unknown]>>();
  const link = createLink(configure, (type, data) => {
    named.get(type)?.tell(data);
    catchAll.tell({ type, data });
  });
  const { session, states } = link;

  return {
    get id() {
      return session.id;
    },
    get state() {
      return states.current;
    },
    get transport() {
      return link.transport();
    },
    connect: link.connect,
    close: () => link.finish("closed", true),

    // Not async: the answer is to settle in the turn in which it came, see hand in dispatch.ts.
    call,

    stream: (path, data, options) => call(path, data, options)[Symbol.asyncIterator](),

    subscribe(channel, listener) {
      link.use();
      const name = checked(channel);
      return typeof listener === "function" ? session.channels.subscribe(name, listener) : session.channels.iterate(name, listener);
    },

    handle(path, handler) {
      link.use();
      return session.handlers.handle(checked(path), handler);
    },

    send(event, data) {
      link.begin();
      session.log.add("m " + writeName(checked(event)), payloadOf(data));
    },

    on(event, listener) {
      link.use();
      if (typeof event === "function") return catchAll.add(event);
      const name = checked(event);
      const listeners = named.get(name) ?? createListeners<[unknown]>();
      named.set(name, listeners);
      return listeners.add(listener!);
    },

    onConnectionChange(listener) {
      link.use();
      return states.listen(listener);
    },
  };

  function call(path: string, data?: unknown, options?: CallOptions): Answer {
    const name = bare(path);
    const given = { timeout: times.get(name), ...options };
    return makeCall(session.calls, session.log, name, data, given, usual, () => {
      link.begin();
      checked(name);
    });
  }
}

/** A name without the leading slash that api-ape's paths may have. */
function bare(name: string): string {
  return name.replace(/^\//, "");
}

function checked(path: string): string {
  const name = bare(path);
  if (!name) throw new ApeError({ code: "malformed", message: "a path, event or channel needs a name" });
  return name;
}
