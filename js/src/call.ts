// One call of this client: its time, its signal, the items that go with it, the stream that answers it.

import type { Calls } from "./calls";
import { payloadOf } from "./codec";
import type { ApeError, Failure } from "./error";
import { type Flow, createFlow } from "./flow";
import { writeName } from "./line";
import { loadMore } from "./load";
import type { Log } from "./log";
import type { Pump } from "./pump";

export interface CallOptions {
  /** Milliseconds until the call fails with `deadline`; 0 or Infinity: never. */
  timeout?: number;
  /** Cancels the call, here and on the server. */
  signal?: AbortSignal;
  /** Idempotency key. */
  key?: string;
  /** Items of its answer that may wait. */
  window?: number;
}

/** To be awaited or, in the same turn, to be iterated. */
export type Answer = Promise<unknown> & { [Symbol.asyncIterator](): Flow };

/** The longest time that a timer of a browser can wait. */
export const longestTimer = 2 ** 31 - 1;

/**
 * Calls a path. `begin` throws when no call can be made; what goes wrong rejects the answer. `usual` is the timeout of
 * a call that names none; a stream has none then.
 */
export function makeCall(
  calls: Calls,
  log: Log,
  path: string,
  data: any,
  { timeout, signal, key, window = 64 }: CallOptions,
  usual: number,
  begin: () => void,
): Answer {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let items: AsyncIterator<unknown> | undefined;
  let pump: Promise<Pump | void> | undefined;
  let flow: Flow | undefined;
  let some = false;

  const call = calls.create(path, () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
    pump?.then((it) => it?.stop());
  });
  call.key = key;
  call.cut = cut;
  call.g = (count) => pump?.then((it) => it?.more(count));
  call.n = (item) => {
    some = true;
    if (!flow?.push(item)) cut({ code: "credit" });
  };
  try {
    begin();
    items = data?.[Symbol.asyncIterator]?.();
    const payload = items ? undefined : payloadOf(data);
    calls.send(call, "c", params(timeout ?? usual), payload);
    if (key && !items) call.again = [payload];
    if (items) pump = loadMore().then(({ createPump }) => createPump(log, payloadOf, call.id, items!, () => tell("z"), cancel)).catch(cancel);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
  } catch (error) {
    const { code = "invalid", message } = error as ApeError;
    call.fail({ ...(error as ApeError), code, message }, error);
  }
  return Object.assign(call.answer, { [Symbol.asyncIterator]: iterate });

  function isOpen(): boolean {
    return calls.open.get(call.id) === call;
  }

  function tell(op: string, count = ""): void {
    log.add(op + " " + call.id + count, undefined, true);
  }

  function cut(failure: Failure, cause?: unknown): void {
    if (!isOpen()) return;
    if (!log.withdraw(call.entry)) tell("x");
    call.fail(failure, cause);
  }

  function cancel(cause?: unknown): void {
    cut({ code: "cancelled" }, cause);
  }

  function abort(): void {
    cancel(signal!.reason);
  }

  function params(ms = 0): string {
    clearTimeout(timer);
    const timed = ms > 0 && ms <= longestTimer;
    if (timed) timer = setTimeout(() => cut({ code: "deadline", message: `no answer within ${ms} ms` }), ms);
    return (timed ? ";t=" + Math.ceil(ms) : "") + (key ? ";k=" + writeName(key) : "") + (items ? ";i" : "");
  }

  /** While its line is not written, a call can still ask for a stream. */
  function iterate(): Flow {
    if (flow) return flow;
    if (call.entry?.sent) throw new TypeError(`ape: ${path}: iterate at once, or call $.stream`);
    const grant = (count: number) => isOpen() && tell("g", " " + count);
    const credit = Math.max(1, window);
    const stream = (flow = createFlow(cancel, credit, credit, grant));
    if (isOpen()) call.entry.head = call.entry.head.split(";")[0] + params(timeout) + ";g=" + credit;
    call.again = undefined;
    call.answer.then((value) => {
      const single = value !== undefined && !some;
      if (single) stream.push(value); // a plain answer is a stream of one
      stream.end(undefined, single ? undefined : value);
    }, stream.end);
    return stream;
  }
}
