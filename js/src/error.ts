// The error that every failed call rejects with.

import { object } from "./codec";
import { decodeValue } from "./decode";

/** What `e` and `q` lines carry. */
export interface Failure {
  code: string;
  message?: string;
  data?: unknown;
}

export class ApeError extends Error {
  readonly code: string;
  /** Path or channel that failed; empty when the failure belongs to none. */
  readonly path: string;
  /** What the server added for programs. */
  readonly data: unknown;

  constructor(failure: Failure, path = "", cause?: unknown) {
    super(failure.message || failure.code);
    this.name = "ApeError";
    this.code = failure.code;
    this.path = path;
    this.data = failure.data;
    if (cause !== undefined) (this as { cause?: unknown }).cause = cause;
  }
}

/** What an `e` line says. Its data is encoded by itself. */
export function failureOf(payload?: string): Failure {
  const failure = { code: "failed", ...object(payload) };
  try {
    failure.data = decodeValue(failure.data);
  } catch {} // as it came
  return failure;
}
