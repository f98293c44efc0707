// How long to wait before the next attempt: full jitter, so that clients of a lost server do not come back at once.

const longest = 30_000;
const first = 500;
/** A connection that stood this long was good: the count of failures begins again. */
const stable = 10_000;

export class Backoff {
  private failures = 0;
  private since = 0;

  /** A connection stands. */
  connected(): void {
    this.since = Date.now();
  }

  /** Milliseconds to wait after a connection was lost or refused, at least `least`. */
  next(least = 0): number {
    if (this.since && Date.now() - this.since >= stable) this.failures = 0;
    this.since = 0;
    return Math.max(least, delay(this.failures++));
  }
}

/** A random time for the attempt after `failures` failures. */
export function delay(failures: number): number {
  return Math.random() * Math.min(longest, first * 2 ** failures);
}
