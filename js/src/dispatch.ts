// Gives each counted line of the server to whom it concerns.

import { fromBase64 } from "./base64";
import type { Calls } from "./calls";
import type { Channels } from "./channels";
import { decode } from "./codec";
import type { Failure } from "./error";
import { parse } from "./line";
import type { Log } from "./log";

export type Tell = (name: string, value: unknown) => void;

/** Takes a line and, where they came apart from it, its octets. */
export type Dispatch = (head: string, octets?: Uint8Array) => void;

export function createDispatch(log: Log, calls: Calls, channels: Channels, event: Tell): Dispatch {
  return (head, octets) => {
    const line = parse(head);
    if (!line) return refuse(0, "malformed");
    const { op, id, name, payload } = line;
    const value = () => read(payload, octets);
    if (op === "r" || op === "z") calls.answer(id, value);
    else if (op === "e" && id) calls.fail(id, failureOf(value));
    else if (op === "e") console.warn("ape: the server could not read a line:", payload);
    else if (op === "m") hand(name, value, event);
    else if (op === "b") hand(name, value, channels.deliver);
    else if (op === "u") channels.end(name, failureOf(value));
    // x n g for an id that is not open: this client takes no calls and no streams
    else if (!/^[xng]$/.test(op)) refuse(id, op === "c" ? "not_found" : "unsupported");
  };

  function refuse(id: number, code: string): void {
    log.add("e " + (id || 0), `{"code":"${code}"}`, true);
  }
}

/**
 * Gives a value to the page in a microtask of its own: who awaits an answer runs in a microtask too,
 * so everything is seen in the order in which the server sent it.
 */
function hand(name: string, value: () => unknown, tell: Tell): void {
  try {
    const data = value();
    queueMicrotask(() => tell(name, data));
  } catch (error) {
    console.error(`ape: what came for ${name} cannot be read:`, error);
  }
}

/** The value of a payload; undefined when there is none. */
function read(payload?: string, octets?: Uint8Array): unknown {
  if (octets || payload === undefined) return octets;
  return payload[0] === "=" ? fromBase64(payload.slice(1)) : decode(payload);
}

function failureOf(value: () => unknown): Failure {
  try {
    return { code: "failed", ...(value() as object) };
  } catch {
    return { code: "failed" };
  }
}
