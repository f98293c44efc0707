// What waits for an answer: calls, subscriptions, unsubscriptions. Each gets exactly one terminal line.

import { ApeError, type Failure } from "./error";
import type { Entry, Log } from "./log";
import { writeName } from "./line";

export interface CallOptions {
  /** Milliseconds until the call fails with `deadline`; 0 or Infinity: never. */
  timeout?: number;
  /** Cancels the call, here and on the server. */
  signal?: AbortSignal;
}

interface Open {
  path: string;
  entry: Entry;
  settle(): void;
  resolve(value: unknown): void;
  reject(error: ApeError): void;
}

export type Calls = ReturnType<typeof createCalls>;

/** The longest time that a timer of a browser can wait. */
const longestTimer = 2 ** 31 - 1;

/** `wake` is called when something was added to the log. */
export function createCalls(log: Log, wake: () => void) {
  const open = new Map<number, Open>();
  let lastId = -1;

  return {
    start,
    fail,

    /** A call of `path`. The payload is already encoded. */
    call(path: string, payload: string | Uint8Array | undefined, { timeout = 0, signal }: CallOptions): Promise<unknown> {
      const abort = () => cancel(new ApeError({ code: "cancelled", message: "cancelled by the caller" }, path, signal!.reason));
      const expire = () => cancel(new ApeError({ code: "deadline", message: `no answer within ${timeout} ms` }, path));
      const timed = timeout > 0 && timeout <= longestTimer;

      const { id, answer, call } = start("c", path, timed ? ";t=" + Math.ceil(timeout) : "", payload);
      const timer = timed ? setTimeout(expire, timeout) : undefined;
      signal?.addEventListener("abort", abort);
      call.settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      if (signal?.aborted) abort();
      return answer;

      function cancel(error: ApeError): void {
        end(id);
        if (!log.withdraw(call.entry)) {
          log.add("x " + id, undefined, true);
          wake();
        }
        call.reject(error);
      }
    },

    /** The terminal line came. An id that is not open crossed with the end of its call. */
    answer(id: number, value: () => unknown): void {
      const call = end(id);
      try {
        call?.resolve(value());
      } catch (cause) {
        call!.reject(new ApeError({ code: "invalid", message: "the answer cannot be read" }, call!.path, cause));
      }
    },

    /** Fails calls that a test picks. Returns how many. */
    failSome(which: (entry: Entry) => boolean, failure: Failure): number {
      const some = [...open].filter(([, { entry }]) => which(entry));
      for (const [id] of some) fail(id, failure);
      return some.length;
    },

    /** Forgets an id whose line was taken back. */
    forget(id: number): void {
      open.delete(id);
    },
  };

  /** Writes `op id name` and waits for its answer without a limit. Throws what Log.add throws. */
  function start(op: string, path: string, params: string, payload?: string | Uint8Array, needed = false) {
    const id = lastId + 2;
    const entry = log.add(`${op} ${id} ${writeName(path)}${params}`, payload, needed);
    lastId = id;
    const call = { path, entry, settle() {} } as Open;
    open.set(id, call);
    wake();
    return { id, entry, call, answer: new Promise<unknown>((resolve, reject) => Object.assign(call, { resolve, reject })) };
  }

  function fail(id: number, failure: Failure): void {
    const call = end(id);
    call?.reject(new ApeError(failure, call.path));
  }

  function end(id: number): Open | undefined {
    const call = open.get(id);
    open.delete(id);
    call?.settle();
    return call;
  }
}
