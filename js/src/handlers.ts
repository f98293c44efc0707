// Functions of the page that the server may call.

import type { Calls } from "./calls";
import { payloadOf } from "./codec";
import { encodeValue } from "./encode";
import { ApeError } from "./error";
import { createFlow } from "./flow";
import type { Line } from "./line";
import { type Off, report } from "./listeners";
import type { Log } from "./log";
import { loadMore } from "./load";

export type Handler = (data: any, call: { path: string; signal: AbortSignal }) => unknown;

export type Handlers = ReturnType<typeof createHandlers>;

/** What serving.ts, which is a file of its own, takes from this one. */
export type Tools = ReturnType<typeof toolsOf>;

function toolsOf(log: Log, { open }: Calls, refuse: (id: number, code: string) => void) {
  return { log, open, refuse, payloadOf, encodeValue, ApeError, createFlow, report };
}

export function createHandlers(calls: Calls, log: Log) {
  const handlers = new Map<string, Handler>();
  /** Takes lines, in order. */
  let serving: Promise<(line: Line, read: () => unknown) => void> | undefined;

  return {
    refuse,

    handle(path: string, handler: Handler): Off {
      if (!serving) {
        serving = loadMore().then(({ createServing }) => createServing(handlers, toolsOf(log, calls, refuse)));
        serving.catch(report);
      }
      handlers.set(path, handler);
      return () => void (handlers.get(path) === handler && handlers.delete(path));
    },

    /** A line of an id that the server has given. */
    take(line: Line, read: () => unknown): void {
      const { op, id } = line;
      const isCall = op === "c";
      if (isCall && (!(id > 0) || id % 2)) return refuse(0, "malformed");
      if (isCall && !serving) return refuse(id, "not_found");
      const { epoch } = log;
      serving?.then(
        (take) => epoch === log.epoch && take(line, read),
        () => isCall && refuse(id, "unavailable"),
      );
    },
  };

  /** For a line that does not fit. */
  function refuse(id: number, code: string): void {
    log.add("e " + (id || 0), `{"code":"${code}"}`, true);
  }
}
