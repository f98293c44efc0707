// JSS: JSON whose object keys may carry a type tag. Text without a tag is plain JSON and is read as that.

import { bytesOf, fromBase64 } from "./base64";
import { encodeValue } from "./encode";
import { decodeValue } from "./decode";

/** Throws for what no JSON can say (a BigInt) and for a Blob, whose bytes are not at hand. */
export function encode(value: unknown): string {
  return JSON.stringify(encodeValue(value));
}

/** Throws when text is not JSON, or when a tag does not fit its value. */
export function decode(text: string): unknown {
  const raw = JSON.parse(text);
  return /<!|\\u00/.test(text) ? decodeValue(raw) : raw;
}

export type Payload = string | Uint8Array | undefined;

/** Bytes are copied: they may wait, and the page may use its buffer again. */
export function payloadOf(data: unknown): Payload {
  return data === undefined ? undefined : (bytesOf(data)?.slice() ?? encode(data));
}

/** The value of a payload; undefined when there is none. Throws when it cannot be read. */
export function valueOf(payload?: string, octets?: Uint8Array): unknown {
  if (octets || payload === undefined) return octets;
  return payload[0] === "=" ? fromBase64(payload.slice(1)) : decode(payload);
}

/** The object that a line carries as plain JSON; an empty one when it carries something else. */
export function object(text = ""): any {
  try {
    return { ...JSON.parse(text) };
  } catch {
    return {};
  }
}
