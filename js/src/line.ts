// The grammar of ape.1: one envelope is one line, `op fields;params payload`.

import { toBase64 } from "./base64";

/** A line as it was read. */
export interface Line {
  op: string;
  /** The id, or the count of an `a`; NaN when the line has none. An unknown op gives its first field, if that is a number. */
  id: number;
  /** Empty when the line has none, or one that is malformed; the count of a `g`. */
  name: string;
  params: string[];
  /** As it stands in the line: JSON, `=base64`, or `=size` in a binary message. */
  payload?: string;
}

/** Whether a line takes a number: the first field alone decides, so that nobody loses count over lines that are new to them. */
export function isCounted(head: string): boolean {
  return !/^([A-Z]|[hwapq]( |;|$))/.test(head);
}

export function parse(head: string): Line {
  const [op] = head.split(/[ ;]/, 1);
  const is = (ops: string) => op.length === 1 && ops.includes(op);
  const words = head.split(" ", is("csug") ? 3 : is("hwpq") ? 1 : 2);
  const end = words.join(" ").length;
  const [last, ...params] = words.pop()!.split(";");
  const [, first = "", second = ""] = [...words, last];
  const named = is("mb");
  return {
    op,
    id: named ? NaN : numberOf(first),
    name: decoded(named ? first : second),
    params,
    payload: head[end] && head.slice(end + 1),
  };
}

/** An id or a count; NaN for anything else. */
export function numberOf(text: string): number {
  return /^\d{1,16}$/.test(text) ? Number(text) : NaN;
}

/** A path, event, channel or key as it stands in a line. */
export function writeName(name: string): string {
  const escape = (char: string) => "%" + char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  return name.replace(/[\0-\x20\x7f;%]/g, escape);
}

/** A line as text: bytes are written as base64. */
export function writeLine(head: string, payload?: string | Uint8Array): string {
  if (payload === undefined) return head + "\n";
  return `${head} ${typeof payload === "string" ? payload : "=" + toBase64(payload)}\n`;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return "";
  }
}
