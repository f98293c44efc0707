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

/** What was asked, and is not answered yet. */
export interface Request {
  id: number;
  path: string;
  entry: Entry;
  answer: Promise<unknown>;
  settle(): void;
  resolve(value: unknown): void;
  reject(error: ApeError): void;
}

export type Calls = ReturnType<typeof createCalls>;

/** The longest time that a timer of a browser can wait. */
const longestTimer = 2 ** 31 - 1;

export function createCalls(log: Log) {
  const open = new Map<number, Request>();
  let lastId = -1;

  return {
    start,
    fail,

    /** A call of `path`. The payload is already encoded. */
    call(path: string, payload: string | Uint8Array | undefined, { timeout = 0, signal }: CallOptions): Promise<unknown> {
      const abort = () => cancel("cancelled", "cancelled by the caller", signal!.reason);
      const expire = () => cancel("deadline", `no answer within ${timeout} ms`);
      const timed = timeout > 0 && timeout <= longestTimer;

      const call = start("c", path, timed ? ";t=" + Math.ceil(timeout) : "", payload);
      const timer = timed ? setTimeout(expire, timeout) : undefined;
      signal?.addEventListener("abort", abort);
      call.settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      if (signal?.aborted) abort();
      return call.answer;

      function cancel(code: string, message: string, cause?: unknown): void {
        end(call.id);
        if (!log.withdraw(call.entry)) log.add("x " + call.id, undefined, true);
        call.reject(new ApeError({ code, message }, path, cause));
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
      const some = [...open.values()].filter(({ entry }) => which(entry));
      for (const { id } of some) fail(id, failure);
      return some.length;
    },

    /** Forgets an id whose line was taken back. */
    forget(id: number): void {
      open.delete(id);
    },
  };

  /** Writes `op id name` and waits for its answer without a limit. Throws what Log.add throws. */
  function start(op: string, path: string, params: string, payload?: string | Uint8Array, needed = false): Request {
    const id = lastId + 2;
    const entry = log.add(`${op} ${id} ${writeName(path)}${params}`, payload, needed);
    lastId = id;
    const call = { id, path, entry, settle() {} } as Request;
    call.answer = new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
    open.set(id, call);
    return call;
  }

  function fail(id: number, failure: Failure): void {
    const call = end(id);
    call?.reject(new ApeError(failure, call.path));
  }

  function end(id: number): Request | undefined {
    const call = open.get(id);
    open.delete(id);
    call?.settle();
    return call;
  }
}
