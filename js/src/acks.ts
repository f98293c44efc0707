// What has been taken from the server, and telling it so.

/** An acknowledgement must be sent when so many lines or characters, or so many milliseconds, went without one. */
const mostLines = 64;
const mostSize = 64 << 10;
const longest = 5_000;

export class Acks {
  /** Number of the last line taken. */
  seen = 0;
  /** Number of the last one acknowledged. */
  private acked = 0;
  /** Characters since then. */
  private size = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `wake` is called when an acknowledgement is to be written. */
  constructor(private readonly wake: () => void) {}

  /** The next line was taken, with so many characters. */
  take(size: number): void {
    this.seen++;
    this.size += size;
    if (this.seen - this.acked >= mostLines || this.size >= mostSize) this.wake();
    else this.timer ??= setTimeout(this.wake, longest);
  }

  /** The line that acknowledges what was taken, or nothing when the server knows. */
  write(always = false): string {
    return this.seen === this.acked && !always ? "" : `a ${this.told()}\n`;
  }

  /** The server is being told: returns the number. */
  told(): number {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.size = 0;
    return (this.acked = this.seen);
  }

  /** The acknowledgement may not have arrived. */
  repeat(): void {
    this.acked = -1;
  }

  /** Begins again at number 1. */
  restart(): void {
    this.seen = 0;
    this.told();
  }
}
