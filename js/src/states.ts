// The state of the connection as the page sees it.

import { type Off, createListeners, guard } from "./listeners";

export type State = "offline" | "walled" | "disconnected" | "connecting" | "connected" | "closing";

/** What came with a state. */
export interface StateInfo {
  /** The session went on: so many lines from the server were recovered. */
  recovered?: number;
  /** The session did not go on, and why: unanswered calls failed with `lost`, subscriptions are renewed. */
  gap?: string;
  /** How many calls were lost in the gap. */
  lost?: number;
  /** Which they were. */
  lostCalls?: { path: string; key?: string }[];
  /** Why the connection ended. */
  code?: string;
  /** The client does not connect again by itself. */
  final?: boolean;
}

type Listener = (state: State, info: StateInfo) => void;

export function createStates() {
  const listeners = createListeners<Parameters<Listener>>();
  const states = {
    current: "disconnected" as State,

    /** Listeners are told of changes, and of a gap in any case. */
    set(state: State, info: StateInfo = {}): void {
      if (state === states.current && !info.gap) return;
      states.current = state;
      listeners.tell(state, info);
    },

    /** The listener is called at once with the current state. */
    listen(listener: Listener): Off {
      const off = listeners.add(listener);
      guard(() => listener(states.current, {}));
      return off;
    },
  };
  return states;
}
