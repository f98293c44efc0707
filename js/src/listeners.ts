// Functions of the page that want to hear of something. One that throws harms nobody else.

export type Off = () => void;

export class Listeners<Args extends unknown[]> {
  private readonly functions = new Set<{ call: (...args: Args) => void }>();

  get size(): number {
    return this.functions.size;
  }

  /** The same function may be added twice; each addition has its own removal. */
  add(call: (...args: Args) => void): Off {
    const entry = { call };
    this.functions.add(entry);
    return () => void this.functions.delete(entry);
  }

  tell(...args: Args): void {
    for (const { call } of [...this.functions]) guard(() => call(...args));
  }
}

/** Runs the page's code; what it throws is reported as the browser reports uncaught errors. */
export function guard(run: () => void): void {
  try {
    run();
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}
