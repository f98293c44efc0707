// The link to the server: keeps one connection, and changes, repairs and ends it.

import { createBackoff } from "./backoff";
import { type Connection, type Settings, type Transport, type Watcher, createConnection } from "./connection";
import { ApeError } from "./error";
import { type Off, report } from "./listeners";
import { type Guest, watchPage } from "./page";
import { isReachable } from "./ping";
import { loadMore } from "./load";
import { createSession } from "./session";
import { type State, createStates } from "./states";
import { openSocket } from "./websocket";

/** How long streaming goes on before WebSocket is tried again. */
const upgradeAfter = 60_000;

type Timer = ReturnType<typeof setTimeout>;

/** The settings are asked for when they are needed. `event` hears what the server sends unasked. */
export function createLink(configure: () => Settings, event: (type: string, data: unknown) => void) {
  const states = createStates();
  const session = createSession(wake, event);
  const backoff = createBackoff();
  let settings: Settings;
  /** Whose lines count. */
  let connection: Connection | undefined;
  /** One that is being opened while the other still works. */
  let successor: Connection | undefined;
  let retryTimer: Timer | undefined;
  let moveTimer: Timer | undefined;
  /** WebSocket is not tried before this time. */
  let socketFrom = 0;
  /** Microtasks until what has gathered is written; 0: nothing has. */
  let waking = 0;
  let started = false;
  /** Why there will be no further connection, unless the application connects again. */
  let ended = "";
  let leavePage: Off;

  /** What connections tell. */
  const watcher: Watcher = {
    hello(from) {
      if (from === connection) return;
      connection?.discard();
      connection = from;
      successor = undefined;
    },

    welcomed({ transport }, info) {
      backoff.connected();
      if (transport === "websocket") stay();
      else upgradeLater();
      states.set("connected", info);
    },

    goAway(within) {
      moveLater(Math.random() * within, connection!.transport);
    },

    lost(from, { code, then, within, told }) {
      if (from === successor) return moveFailed();
      if (then === "final") return finish(code);
      if (then === "new") session.forget(code);
      letGo();
      if (code === "buffered") {
        connection = open("streaming");
        return;
      }
      const wait = backoff.next(within);
      if (from.welcomed || then === "new") retry("disconnected", wait, code);
      else void refused(from, code, told, wait);
    },
  };

  /** What the page does. */
  const guest: Guest = {
    attempt,
    finish,

    /** The page may have slept, or has a network again. */
    awake() {
      if (retryTimer) attempt();
      else connection?.probe();
    },

    /** The page has no network. What is connected may stay so. */
    cutOff() {
      if (retryTimer) states.set("offline");
    },

    /** The page goes into the back/forward cache and takes its session with it. */
    freeze() {
      letGo();
      states.set("disconnected");
    },
  };

  return {
    states,
    session,
    connect,
    finish,

    transport: () => (states.current === "connected" ? connection!.transport : null),

    /** Connects, but not again after the end. */
    use(): void {
      if (!ended) connect();
    },

    /** Like `use`, and throws after the end. */
    begin(): void {
      if (ended) throw closed(ended);
      connect();
    },
  };

  function connect(): void {
    if (started) return;
    settings ??= configure();
    started = true;
    ended = "";
    leavePage = watchPage(guest);
    attempt();
  }

  /** Ends the session, perhaps with a goodbye, and does not connect again by itself. */
  function finish(code: string, bye = false): void {
    if (!started) return;
    started = false;
    ended = code;
    states.set("closing", { code, final: true });
    leavePage();
    if (bye) connection?.carrier?.bye();
    letGo();
    session.end(closed(code));
    states.set("disconnected", { code, final: true });
  }

  // Connecting.

  function attempt(): void {
    letGo();
    states.set("connecting");
    connection = open(settings.WebSocket && Date.now() >= socketFrom ? "websocket" : "streaming");
  }

  function open(transport: Transport, patient = false): Connection {
    const next = createConnection(transport, session, settings, watcher);
    next.listen();
    if (transport === "websocket") openSocket(next, patient);
    else void loadStream(next);
    return next;
  }

  async function loadStream(next: Connection): Promise<void> {
    try {
      const { openStream } = await loadMore();
      if (!next.isOver) openStream(next);
    } catch (error) {
      report(error);
      next.lose({ code: "failed" });
    }
  }

  /** No welcome came. Where the server can be reached, WebSocket is what failed: streaming follows. */
  async function refused({ transport }: Connection, code: string, told: boolean, wait: number): Promise<void> {
    const reachable = told || (await isReachable(settings));
    if (!started || connection || retryTimer) return; // something else happened meanwhile
    if (!reachable) return retry("walled", wait, code);
    if (told || transport === "streaming") return retry("disconnected", wait, code);
    socketFrom = Date.now() + upgradeAfter;
    connection = open("streaming");
  }

  function retry(state: State, wait: number, code: string): void {
    retryTimer = setTimeout(attempt, wait);
    states.set(globalThis.navigator?.onLine === false ? "offline" : state, { code });
  }

  // Moving to another connection while one works.

  function upgradeLater(): void {
    if (settings.WebSocket && !moveTimer) moveLater(upgradeAfter, "websocket");
  }

  /** Opens a successor, whose hello will replace the connection. */
  function moveLater(wait: number, transport: Transport): void {
    stay();
    moveTimer = setTimeout(() => {
      stay();
      successor = open(transport, true);
    }, wait);
  }

  function moveFailed(): void {
    successor = undefined;
    socketFrom = Date.now() + upgradeAfter;
    if (connection?.transport === "streaming") upgradeLater();
  }

  function stay(): void {
    clearTimeout(moveTimer);
    moveTimer = undefined;
  }

  /** Drops every connection and plan; the server keeps the session. */
  function letGo(): void {
    stay();
    clearTimeout(retryTimer);
    successor?.discard();
    connection?.discard();
    retryTimer = successor = connection = undefined;
  }

  /** Lines that follow each other closely, as the items of a stream do, travel together. */
  function wake(): void {
    if (!waking) queueMicrotask(tick);
    waking = 8;
  }

  function tick(): void {
    if (--waking) queueMicrotask(tick);
    else connection?.carrier?.flush();
  }
}

function closed(code: string): ApeError {
  return new ApeError({ code: "closed", message: "the connection has ended: " + code, data: { code } });
}
