// The grammar of ape.1: one envelope is one line, `op fields;params payload`.

import { toBase64 } from "./base64";

/** A line as it was read. Params are left out: none that a server writes concerns this client. */
export interface Line {
  op: string;
  /** The id, or the count of an `a`; NaN when the line has none. */
  id: number;
  name: string;
  /** As it stands in the line: JSON, `=base64`, or `=size` in a binary message. */
  payload?: string;
}

/** Whether a line takes a number: the first field alone decides, so that nobody loses count over lines that are new to them. */
export function isCounted(head: string): boolean {
  return !/^([A-Z]|[hwapq]( |;|$))/.test(head);
}

/** Reads a line. An unknown op gives its first field, if that is a number, as id. Undefined when a name is malformed. */
export function parse(head: string): Line | undefined {
  let rest: string | undefined = head;
  const word = (): string => {
    const [taken] = rest!.split(" ", 1);
    rest = rest![taken.length] && rest!.slice(taken.length + 1);
    return taken.split(";")[0];
  };
  const op = word();
  const id = /^[hwpqmb]$/.test(op) ? NaN : Number(rest && word());
  try {
    const name = /^[csumb]$/.test(op) ? decodeURIComponent((rest && word()) || "") : "";
    return { op, id, name, payload: rest };
  } catch {
    return undefined;
  }
}

/** A path, event or channel as it stands in a line. */
export function writeName(name: string): string {
  const escape = (char: string) => "%" + char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  return name.replace(/[\0-\x20\x7f;%]/g, escape);
}

/** A line as text: bytes are written as base64. */
export function writeLine(head: string, payload?: string | Uint8Array): string {
  if (payload === undefined) return head + "\n";
  return `${head} ${typeof payload === "string" ? payload : "=" + toBase64(payload)}\n`;
}
