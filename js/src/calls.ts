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

/** The longest time that a timer of a browser can wait. */
const longestTimer = 2 ** 31 - 1;

export class Calls {
  private readonly open = new Map<number, Open>();
  private lastId = -1;

  constructor(
    private readonly log: Log,
    /** Something was added to the log. */
    private readonly wake: () => void,
  ) {}

  /** A call of `path`. The payload is already encoded. */
  call(path: string, payload: string | Uint8Array | undefined, options: CallOptions): Promise<unknown> {
    const { timeout = 0, signal } = options;
    const timed = timeout > 0 && timeout <= longestTimer;
    if (signal?.aborted) return Promise.reject(aborted(path, signal));

    const { id, answer, open } = this.start("c", path, timed ? `;t=${Math.ceil(timeout)}` : "", payload);
    const abort = () => this.cancel(id, aborted(path, signal!));
    const expire = () =>
      this.cancel(id, new ApeError({ code: "deadline", message: `no answer within ${timeout} ms` }, path));
    const timer = timed ? setTimeout(expire, timeout) : undefined;
    signal?.addEventListener("abort", abort);
    open.settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    return answer;
  }

  /** Writes `op id name` and waits for its answer without a limit. Throws what Log.add throws. */
  start(op: string, path: string, params: string, payload?: string | Uint8Array, needed = false) {
    const id = this.lastId + 2;
    const entry = this.log.add(`${op} ${id} ${writeName(path)}${params}`, payload, needed);
    this.lastId = id;
    const open = { path, entry, settle() {} } as Open;
    const answer = new Promise<unknown>((resolve, reject) => Object.assign(open, { resolve, reject }));
    this.open.set(id, open);
    this.wake();
    return { id, entry, answer, open };
  }

  /** The terminal line came. An id that is not open crossed with the end of its call. */
  answer(id: number, value: () => unknown): void {
    const open = this.end(id);
    if (!open) return;
    try {
      open.resolve(value());
    } catch (cause) {
      open.reject(new ApeError({ code: "invalid", message: "the answer cannot be read" }, open.path, cause));
    }
  }

  fail(id: number, failure: Failure): void {
    const open = this.end(id);
    open?.reject(new ApeError(failure, open.path));
  }

  /** The line cannot get through. */
  failEntry(entry: Entry, failure: Failure): void {
    for (const [id, open] of this.open) if (open.entry === entry) this.fail(id, failure);
  }

  /** The session is another one: what was written and not answered is lost. Returns how many. */
  lose(): number {
    const lost = [...this.open].filter(([, open]) => !open.entry.waiting);
    for (const [id] of lost) this.fail(id, { code: "lost", message: "the connection was lost before the answer came" });
    return lost.length;
  }

  /** Fails everything. What was not written never will be. */
  failAll(failure: Failure): void {
    for (const [id, open] of [...this.open]) {
      this.log.withdraw(open.entry);
      this.fail(id, failure);
    }
  }

  /** Forgets an id whose line was taken back. */
  forget(id: number): void {
    this.end(id);
  }

  private cancel(id: number, error: ApeError): void {
    const open = this.end(id)!;
    if (!this.log.withdraw(open.entry)) {
      this.log.add(`x ${id}`, undefined, true);
      this.wake();
    }
    open.reject(error);
  }

  private end(id: number): Open | undefined {
    const open = this.open.get(id);
    this.open.delete(id);
    open?.settle();
    return open;
  }
}

function aborted(path: string, signal: AbortSignal): ApeError {
  return new ApeError({ code: "cancelled", message: "cancelled by the caller" }, path, signal.reason);
}
