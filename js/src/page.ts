// The life of the page: leaving it, coming back to it, losing and finding the network.

/** What the client does about it. */
export interface Guest {
  awake(): void;
  cutOff(): void;
  freeze(): void;
  /** Connects. */
  attempt(): void;
  /** Ends the session, with a goodbye. */
  finish(code: string, bye: boolean): void;
}

/** Watches until the returned function is called. Outside a browser there is nothing to watch. */
export function watchPage(guest: Guest): () => void {
  if (typeof addEventListener !== "function") return () => {};
  const handlers: Record<string, (event: PageTransitionEvent) => void> = {
    pagehide: ({ persisted }) => (persisted ? guest.freeze() : guest.finish("left", true)),
    pageshow: ({ persisted }) => persisted && guest.attempt(),
    online: () => guest.awake(),
    offline: () => guest.cutOff(),
    visibilitychange: () => document.visibilityState === "visible" && guest.awake(),
  };
  const each = (change: typeof addEventListener) => {
    // visibilitychange bubbles from the document to the window
    for (const type in handlers) change(type, handlers[type] as (event: Event) => void);
  };
  each(addEventListener);
  return () => each(removeEventListener);
}
