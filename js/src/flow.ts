// Streams that come: items wait for a loop of the page.

/** Items that come, and wait for the loop that takes them. */
export interface Flow extends AsyncIterableIterator<unknown> {
  queue: unknown[];
  /** False when there is no credit for the item. */
  push(item: unknown): boolean;
  /** Behind the items that wait: fails, or ends with a result. */
  end(failure?: unknown, result?: unknown): void;
}

/**
 * At most `window` items wait, `credit` of which have been asked for already. `grant` asks for more. `left` is told
 * when the loop is left early.
 */
export function createFlow(left: () => void, window = Infinity, credit = window, grant?: (count: number) => void): Flow {
  /** Those who ask for an item. */
  const asked: ((step: any) => void)[] = [];
  let used = window - credit;
  let over = false;
  let failure: unknown;
  let result: unknown;

  const flow: Flow = {
    queue: [],
    push(item) {
      if (credit-- <= 0) return false;
      flow.queue.push(item);
      serve();
      return true;
    },
    end(error, value) {
      if (over) return;
      over = true;
      failure = error;
      result = value;
      serve();
    },
    next: () =>
      new Promise((resolve) => {
        asked.push(resolve);
        serve();
      }),
    async return(value) {
      flow.queue = [];
      flow.end();
      left();
      return { value, done: true };
    },
    [Symbol.asyncIterator]: () => flow,
  };
  return flow;

  function serve(): void {
    while (asked.length && (flow.queue.length || over)) {
      const give = asked.shift()!;
      if (flow.queue.length) {
        used++;
        give({ value: flow.queue.shift(), done: false });
      } else {
        give(failure ? Promise.reject(failure) : { value: result, done: true });
        failure = result = undefined;
      }
    }
    if (over || used * 2 < window || !grant) return;
    credit += used;
    grant(used);
    used = 0;
  }
}
