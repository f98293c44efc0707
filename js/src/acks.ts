// What has been taken from the server, and telling it so.

/** An acknowledgement must be sent when so many lines or characters, or so many milliseconds, went without one. */
const mostLines = 64;
const mostSize = 64 << 10;
const longest = 5_000;

export type Acks = ReturnType<typeof createAcks>;

/** `wake` is called when an acknowledgement is to be written. */
export function createAcks(wake: () => void) {
  /** Number of the last line taken. */
  let seen = 0;
  /** Number of the last one acknowledged. */
  let acked = 0;
  /** Characters since then. */
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return {
    told,

    /** The next line was taken, with so many characters. */
    take(more: number): void {
      seen++;
      size += more;
      if (seen - acked >= mostLines || size >= mostSize) wake();
      else timer ??= setTimeout(wake, longest);
    },

    /** The line that acknowledges what was taken, or nothing when the server knows. */
    write(always = false): string {
      return seen === acked && !always ? "" : `a ${told()}\n`;
    },

    /** The acknowledgement may not have arrived. */
    repeat(): void {
      acked = -1;
    },

    /** Begins again at number 1. */
    restart(): void {
      seen = 0;
      told();
    },
  };

  /** The server is being told: returns the number. */
  function told(): number {
    clearTimeout(timer);
    timer = undefined;
    size = 0;
    return (acked = seen);
  }
}
