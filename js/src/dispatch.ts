// Gives each counted line of the server to whom it concerns.

import type { Calls, Open } from "./calls";
import type { Channels } from "./channels";
import { valueOf } from "./codec";
import type { Handlers } from "./handlers";
import { failureOf } from "./error";
import { numberOf, parse } from "./line";

export type Tell = (name: string, value: unknown) => void;

/** Takes a line and, where they came apart from it, its octets. */
export type Dispatch = (head: string, octets?: Uint8Array) => void;

export function createDispatch(calls: Calls, channels: Channels, handlers: Handlers, event: Tell): Dispatch {
  return (head, octets) => {
    const line = parse(head);
    const { op, id, name, params, payload } = line;
    const value = () => valueOf(payload, octets);
    const call = calls.open.get(id);
    if (op === "c" || (id % 2 === 0 && /^[xnzg]$/.test(op))) handlers.take(line, value);
    else if (op === "m" && !name) handlers.refuse(0, "malformed");
    else if (op === "m" && params.some(isRequired)) handlers.refuse(0, "unsupported");
    else if (op === "m") hand(name, value, event);
    else if (op === "b") hand(name, value, channels.deliver);
    else if (op === "u") hand(name, () => failureOf(payload), channels.end);
    else if (op === "e" && !id) console.warn("ape: the server could not read:", payload);
    else if (op === "e") call?.r && call.fail(failureOf(payload));
    else if (op === "z") call?.r?.();
    else if (op === "g") call?.g?.(numberOf(name) || 0);
    else if (op === "r" || op === "n") give(call, op, value);
    else if (op !== "x") handlers.refuse(id, /^[a-z]{1,16}$/i.test(op) ? "unsupported" : "malformed");
  };
}

/** Gives an answer or an item to its call, which what cannot be read ends. */
function give(call: Open | undefined, op: "r" | "n", value: () => unknown): void {
  if (!call?.[op]) return;
  let data: unknown;
  try {
    data = value();
  } catch (cause) {
    return (op === "r" ? call.fail : call.cut!)({ code: "invalid", message: "what came cannot be read" }, cause);
  }
  call[op]!(data);
}

/**
 * Gives a value to the page in a microtask of its own: who awaits an answer runs in a microtask too,
 * so everything is seen in the order in which the server sent it.
 */
function hand(name: string, value: () => unknown, tell: (name: string, value: any) => void): void {
  try {
    const data = value();
    queueMicrotask(() => tell(name, data));
  } catch (error) {
    console.error(`ape: what came for ${name} cannot be read:`, error);
  }
}

/** A param that must be understood. */
function isRequired(param: string): boolean {
  return /^[A-Z]/.test(param);
}
