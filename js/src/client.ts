// The client: everything by name.

import { bytesOf } from "./base64";
import type { CallOptions } from "./calls";
import type { Subscriber, Unsubscribe } from "./channels";
import { encode } from "./codec";
import type { Settings, Transport } from "./connection";
import { ApeError } from "./error";
import { writeName } from "./line";
import { Link } from "./link";
import { type Off, Listeners } from "./listeners";
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
  call(path: string, data?: unknown, options?: CallOptions): Promise<unknown>;
  subscribe(channel: string, listener: Subscriber): Unsubscribe;
  send(event: string, data?: unknown): void;
  on(event: string | Listener, listener?: Listener): Off;
  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off;
}

/** A client that connects when it is used. The settings are asked for then. */
export function createClient(configure: () => Settings, usualTimeout = 10_000): Client {
  const catchAll = new Listeners<[message: Message]>();
  const named = new Map<string, Listeners<[data: unknown]>>();
  const link = new Link(configure, (type, data) => {
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
      return states.current === "connected" ? link.connection!.transport : null;
    },
    connect: () => link.connect(),
    close: () => link.finish("closed", true),

    // Not async: the answer is to settle in the turn in which it came, see hand in dispatch.ts.
    call(path, payload, options) {
      try {
        link.begin();
        return session.calls.call(checked(path), payloadOf(payload), { timeout: usualTimeout, ...options });
      } catch (error) {
        const { code = "invalid", message, data } = error as ApeError;
        return Promise.reject(new ApeError({ code, message, data }, path, error));
      }
    },

    subscribe(channel, listener) {
      link.use();
      return session.channels.subscribe(checked(channel), listener);
    },

    send(event, data) {
      link.begin();
      session.log.add("m " + writeName(checked(event)), payloadOf(data));
    },

    on(event, listener) {
      link.use();
      if (typeof event === "function") return catchAll.add(event);
      const name = checked(event);
      const listeners = named.get(name) ?? new Listeners();
      named.set(name, listeners);
      return listeners.add(listener!);
    },

    onConnectionChange(listener) {
      link.use();
      return states.listen(listener);
    },
  };
}

/** A name without the leading slash that api-ape's paths may have. */
function checked(name: string): string {
  const bare = name.replace(/^\//, "");
  if (!bare) throw new ApeError({ code: "malformed", message: "a path, event or channel needs a name" });
  return bare;
}

/** Bytes are copied: they may wait, and the page may use its buffer again. */
function payloadOf(data: unknown): string | Uint8Array | undefined {
  return data === undefined ? undefined : (bytesOf(data)?.slice() ?? encode(data));
}
