// Time that stands still until a test moves it. Replaces timers, Date.now and Math.random for one test.

const real = { setTimeout, clearTimeout, now: Date.now, random: Math.random, setImmediate };

/** Lets everything run that waits for promises only. */
export async function settle() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => real.setImmediate(resolve));
}

export class Clock {
  #now = 1_700_000_000_000;
  #last = 0;
  #timers = new Map();

  constructor(random = () => 0.5) {
    globalThis.setTimeout = (run, ms = 0) => {
      this.#timers.set(++this.#last, { run, at: this.#now + ms, id: this.#last });
      return this.#last;
    };
    globalThis.clearTimeout = (id) => void this.#timers.delete(id);
    Date.now = () => this.#now;
    Math.random = random;
  }

  /** Timers that wait. */
  get pending() {
    return this.#timers.size;
  }

  get now() {
    return this.#now;
  }

  /** Runs every timer that is due within so many milliseconds, in order. */
  async pass(ms) {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers.values()].filter((timer) => timer.at <= end);
      if (!due.length) break;
      const next = due.sort((a, b) => a.at - b.at || a.id - b.id)[0];
      this.#timers.delete(next.id);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    this.#now = end;
  }

  restore() {
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
    Date.now = real.now;
    Math.random = real.random;
  }
}
