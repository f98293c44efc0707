// Functions of the page that want to hear of something. One that throws harms nobody else.

export type Off = () => void;

export type Listeners<Args extends unknown[]> = ReturnType<typeof createListeners<Args>>;

export function createListeners<Args extends unknown[]>() {
  type Call = (...args: Args) => void;
  const all = new Set<[call: Call, ended?: (error: unknown) => void]>();
  return {
    /** The same function may be added twice; each addition has its own removal. `ended` hears of the end. */
    add(...entry: [call: Call, ended?: (error: unknown) => void]): Off {
      all.add(entry);
      return () => void all.delete(entry);
    },

    tell(...args: Args): void {
      for (const [call] of [...all]) guard(() => call(...args));
    },

    /** There will be nothing more to hear. */
    end(error: unknown): void {
      for (const [, ended] of all) ended?.(error);
    },

    isEmpty: () => !all.size,
  };
}

/** Runs the page's code; what it throws is reported as the browser reports uncaught errors. */
export function guard(run: () => void): void {
  try {
    run();
  } catch (error) {
    report(error);
  }
}

export function report(error: unknown): void {
  (globalThis.reportError ?? console.error)(error);
}
