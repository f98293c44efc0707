// How long to wait before the next attempt: full jitter, so that clients of a lost server do not come back at once.

const longest = 15_000;
const first = 500;
/** A connection that stood this long was good: the count of failures begins again. */
const stable = 10_000;

export function createBackoff() {
  let failures = 0;
  let since = Infinity;
  return {
    /** A connection stands. */
    connected(): void {
      since = Math.min(since, Date.now());
    },
    /** Milliseconds to wait after a connection was lost or refused, at least `least`. */
    next(least: number): number {
      if (Date.now() - since >= stable) failures = 0;
      since = Infinity;
      return Math.max(least, delay(failures++));
    },
  };
}

/** A random time for the attempt after `failures` failures. */
export function delay(failures: number): number {
  return Math.random() * Math.min(longest, first * 2 ** failures);
}
