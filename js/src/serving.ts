// Answers the calls of the server. Loaded when a function of the page is to do that.

import type { Open } from "./calls";
import type { Failure } from "./error";
import type { Flow } from "./flow";
import type { Handler, Tools } from "./handlers";
import { type Line, numberOf } from "./line";
import { type Pump, createPump } from "./pump";

/** Calls of the server that may be open. */
const mostCalls = 256;
/** Items of one call that may wait. */
const window = 64;
/** The longest time that a timer of a browser can wait. */
const longestTimer = 2 ** 31 - 1;

/** A param: letters; t and g have a number. */
const param = /^(?![tg](?![a-zA-Z]|=\d{1,16}$))[a-zA-Z]{1,16}(=|$)/;

/** Gives what takes the lines `c x n z g` of ids that the server has given. */
export function createServing(handlers: Map<string, Handler>, tools: Tools) {
  const { log, open, refuse, ApeError, createFlow, encodeValue, payloadOf, report } = tools;
  let running = 0;

  return (line: Line, read: () => unknown): void => {
    const { op, id, name } = line;
    const call = open.get(id);
    if (op === "c") begin(line, read);
    else if (op === "x") call?.cut!({ code: "cancelled" });
    else if (op === "z") call?.z!();
    else if (op === "g") call?.g!(numberOf(name) || 0);
    else if (call) readFor(call, read, call.n!);
  };

  function readFor(call: Open, read: () => unknown, take: (value: unknown) => void): void {
    let value: unknown;
    try {
      value = read();
    } catch {
      return call.cut!({ code: "invalid", message: "what came cannot be read" });
    }
    take(value);
  }

  /** Refuses a call, or runs it. */
  function begin({ id, name, params }: Line, read: () => unknown): void {
    const given = new Map(params.map((text) => text.split("=") as [string, string]));
    const handler = handlers.get(name);
    if (open.has(id)) refuse(0, "malformed");
    else if (!name || given.size < params.length || !params.every((text) => param.test(text))) refuse(id, "malformed");
    else if (params.some((text) => /^[A-Z]/.test(text))) refuse(id, "unsupported");
    else if (running >= mostCalls) refuse(id, "busy");
    else if (!handler) refuse(id, "not_found");
    else run(id, name, given, read, handler);
  }

  function run(id: number, path: string, params: Map<string, string>, read: () => unknown, handler: Handler): void {
    const abort = new AbortController();
    const time = Number(params.get("t") ?? NaN);
    const timer = time <= longestTimer ? setTimeout(() => cut({ code: "deadline" }), time) : undefined;
    /** NaN: the caller takes no stream. */
    let credit = Number(params.get("g") ?? NaN);
    let pump: Pump | undefined;
    let flow: Flow | undefined;

    const call: Open = {
      path,
      fail: drop,
      cut,
      n: (item) => flow?.push(item) || cut({ code: "credit" }),
      z: () => flow?.end(),
      g: (count) => (pump ? pump.more(count) : (credit += count)),
    };
    open.set(id, call);
    running++;
    const grant = (count: number) => isOpen() && log.add(`g ${id} ${count}`, undefined, true);
    if (params.has("i")) start((flow = createFlow(() => {}, window, 0, grant)));
    else readFor(call, read, start);

    function isOpen(): boolean {
      return open.get(id) === call;
    }

    /** In a microtask of its own, as everything that the page gets. */
    function start(data: unknown): void {
      Promise.resolve()
        .then(() => handler(data, { path, signal: abort.signal }))
        .then((result: any) => {
          const items = result?.[Symbol.asyncIterator]?.();
          if (!items) return answer(result);
          pump = createPump(log, payloadOf, id, items, answer, failed, credit || 0);
          if (!isOpen()) pump.stop();
          else if (isNaN(credit)) cut({ code: "invalid", message: "this is a stream, and the caller takes none" });
        })
        .catch(failed);
    }

    function answer(value: unknown): void {
      if (!isOpen()) return;
      log.add((pump && value === undefined ? "z " : "r ") + id, payloadOf(value), true);
      end();
    }

    /** The server learns only what was meant for it. */
    function failed(error: unknown): void {
      if (!isOpen()) return;
      try {
        if (error instanceof ApeError) return cut(error);
      } catch (unsayable) {
        error = unsayable;
      }
      report(error);
      cut({ code: "internal" });
    }

    function cut({ code, message, data }: Failure): void {
      const plain = data === undefined ? data : encodeValue(data);
      log.add("e " + id, JSON.stringify({ code, message, data: plain }), true);
      drop({ code, message });
    }

    /** Ends the call without an answer. */
    function drop(failure: Failure): void {
      end();
      const error = new ApeError(failure, path);
      pump?.stop();
      flow?.end(error);
      abort.abort(error);
    }

    function end(): void {
      open.delete(id);
      running--;
      clearTimeout(timer);
    }
  }
}
