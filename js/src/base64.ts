// Base64 of bytes, padded, as RFC 4648 section 4 has it.

import { kindOf } from "./kind";

/** Arguments that one call of String.fromCharCode takes on every browser. */
const chunk = 8192;

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += chunk) {
    text += String.fromCharCode(...bytes.subarray(at, at + chunk));
  }
  return btoa(text);
}

/** Throws when text is not base64. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** The bytes of an ArrayBuffer or of any view of one; undefined for everything else. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return kindOf(value) === "ArrayBuffer" ? new Uint8Array(value as ArrayBuffer) : undefined;
}
