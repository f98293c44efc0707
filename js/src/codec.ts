// JSS: JSON whose object keys may carry a type tag. Text without a tag is plain JSON and is read as that.

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
