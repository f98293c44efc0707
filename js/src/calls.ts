// What is open: calls, subscriptions and unsubscriptions of this client, and calls of the server. Each gets exactly
// one terminal line.

import type { Payload } from "./codec";
import { ApeError, type Failure } from "./error";
import { writeName } from "./line";
import type { Entry, Log } from "./log";

/** What is open under an id, and what lines of the server do to it, by their op. */
export interface Open {
  path: string;
  /** The line that opened it, where that is this client's. */
  entry?: Entry;
  key?: string;
  /** Holds the payload of what may be sent twice: it has a key, and no streams. */
  again?: [Payload];
  /** Ends it here, without a word to the server. */
  fail(failure: Failure, cause?: unknown): void;
  /** Ends it here and there. */
  cut?(failure: Failure, cause?: unknown): void;
  /** The answer; undefined when there is no value. */
  r?(value?: unknown): void;
  /** An item. */
  n?(value: unknown): void;
  /** The caller has no more items. */
  z?(): void;
  /** Credit for items. */
  g?(count: number): void;
}

/** What was asked here, and is not answered yet. */
export interface Request extends Open {
  id: number;
  entry: Entry;
  answer: Promise<unknown>;
}

export type Calls = ReturnType<typeof createCalls>;

export function createCalls(log: Log) {
  /** This client's ids are odd, the server's even. */
  const open = new Map<number, Open>();
  let lastId = -1;

  return {
    open,
    create,
    send,

    /** Creates and sends a request that has no limits. */
    start(op: string, path: string, params: string, needed = false): Request {
      const call = create(path, () => {});
      send(call, op, params, undefined, needed);
      return call;
    },

    /** Fails what a test picks. Returns what of it was this client's. */
    failSome(which: (call: Open) => boolean | undefined, failure: Failure): Open[] {
      const some = [...open.values()].filter(which);
      for (const call of some) call.fail(failure);
      return some.filter(({ entry }) => entry);
    },  };

  /** A request that is not sent. `ended` is told of its end. */
  function create(path: string, ended: () => void): Request {
    const call = { path } as Request;
    const end = () => {
      open.delete(call.id);
      ended();
    };
    call.answer = new Promise((resolve, reject) => {
      call.r = (value) => {
        end();
        resolve(value);
      };
      call.fail = (failure, cause) => {
        end();
        reject(new ApeError(failure, path, cause));
      };
    });
    return call;
  }

  /** Writes `op id name`. Throws what Log.add throws. */
  function send(call: Request, op: string, params: string, payload?: Payload, needed = false): void {
    const id = lastId + 2;
    call.entry = log.add(`${op} ${id} ${writeName(call.path)}${params}`, payload, needed);
    lastId = call.id = id;
    open.set(id, call);
  }
}
