// Streams that go: items are sent as the other end asks for them. Loaded when it is needed.

import type { Payload } from "./codec";
import type { Log } from "./log";

/** What sends items. */
export interface Pump {
  /** The other end takes so many more. */
  more(count: number): void;
  /** Nobody wants the items any more. */
  stop(): void;
}

/** Sends the items of a stream. One of `ended` and `failed` is told of their end, unless the pump was stopped. */
export function createPump(
  log: Log,
  payloadOf: (item: unknown) => Payload,
  id: number,
  items: AsyncIterator<unknown>,
  ended: (result: unknown) => void,
  failed: (error: unknown) => void,
  credit = 0,
): Pump {
  let open = true;
  let wake: () => void = () => {};
  void (async () => {
    try {
      for (;;) {
        if (!credit) await new Promise<void>((resolve) => (wake = resolve));
        if (!open) return;
        const { value, done } = await items.next();
        if (!open) return;
        if (done) {
          ended(value);
          open = false;
          return;
        }
        const payload = payloadOf(value);
        await log.room(payload);
        if (!open) return;
        log.add("n " + id, payload);
        credit--;
      }
    } catch (error) {
      if (open) failed(error);
    }
  })();
  return {
    more(count) {
      credit += count;
      if (credit) wake();
    },
    stop() {
      if (open) new Promise((resolve) => resolve(items.return?.())).catch(() => {});
      open = false;
    },
  };
}
