// The client: keeps one connection, and changes, repairs and ends it.

import { createBackoff } from "./backoff";
import { bytesOf } from "./base64";
import type { CallOptions } from "./calls";
import type { Subscriber, Unsubscribe } from "./channels";
import { encode } from "./codec";
import type { Connection, Parting, Settings, Transport } from "./connection";
import { ApeError } from "./error";
import { writeName } from "./line";
import { type Off, Listeners } from "./listeners";
import { watchPage } from "./page";
import { isReachable } from "./ping";
import { createSession } from "./session";
import { type State, type StateInfo, States } from "./states";
import { StreamingConnection } from "./streaming";
import { SocketConnection } from "./websocket";

/** How long streaming goes on before WebSocket is tried again. */
const upgradeAfter = 60_000;

export interface Message {
  type: string;
  data: unknown;
}

type Listener = (data: any) => void;

/** What `api.$` is. */
export interface Client {
  readonly id: string;
  readonly state: State;
  readonly transport: Transport | null;
  connect(): void;
  close(): void;
  call(path: string, data?: unknown, options?: CallOptions): Promise<unknown>;
  subscribe(channel: string, listener: Subscriber): Unsubscribe;
  send(event: string, data?: unknown): void;
  on(event: string | Listener, listener?: Listener): Off;
  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off;
}

/** A client that connects when it is used. The settings are asked for then. */
export function createClient(configure: () => Settings, usualTimeout = 10_000): Client {
  const session = createSession(wake, (type, data) => {
    named.get(type)?.tell(data);
    catchAll.tell({ type, data });
  });
  const states = new States();
  const catchAll = new Listeners<[message: Message]>();
  const named = new Map<string, Listeners<[data: unknown]>>();
  const backoff = createBackoff();

  let settings: Settings;
  /** Whose lines count. */
  let connection: Connection | undefined;
  /** One that is being opened while the other still works. */
  let successor: Connection | undefined;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let moveTimer: ReturnType<typeof setTimeout> | undefined;
  /** WebSocket is not tried before this time. */
  let socketFrom = 0;
  let waking = false;
  let started = false;
  /** Why there will be no further connection, unless the application connects again. */
  let ended = "";
  let leavePage: Off;

  return {
    get id() {
      return session.id;
    },
    get state() {
      return states.current;
    },
    get transport() {
      return states.current === "connected" ? connection!.transport : null;
    },
    connect,
    close: () => finish("closed", () => connection?.bye()),

    // Not async: the answer is to settle in the turn in which it came, see hand in session.ts.
    call(path, payload, options) {
      try {
        begin();
        return session.calls.call(checked(path), payloadOf(payload), { timeout: usualTimeout, ...options });
      } catch (error) {
        const { code = "invalid", message, data } = error as ApeError;
        return Promise.reject(new ApeError({ code, message, data }, path, error));
      }
    },

    subscribe(channel, listener) {
      if (!ended) connect();
      return session.channels.subscribe(checked(channel), listener);
    },

    send(event, data) {
      begin();
      session.say("m " + writeName(checked(event)), payloadOf(data));
    },

    on(event, listener) {
      if (!ended) connect();
      if (typeof event === "function") return catchAll.add(event);
      const name = checked(event);
      const listeners = named.get(name) ?? new Listeners();
      named.set(name, listeners);
      return listeners.add(listener!);
    },

    onConnectionChange(listener) {
      if (!ended) connect();
      return states.listen(listener);
    },
  };

  function connect(): void {
    if (started) return;
    settings ??= configure();
    started = true;
    ended = "";
    leavePage = watchPage({ awake, offline, freeze, thaw: attempt, leave: () => finish("left", () => connection?.bye()) });
    attempt();
  }

  function begin(): void {
    if (ended) throw closed(ended);
    connect();
  }

  // What the page does.

  /** The page may have slept, or has a network again. */
  function awake(): void {
    if (retryTimer) attempt();
    else connection?.probe();
  }

  /** The page has no network. What is connected may stay so. */
  function offline(): void {
    if (retryTimer) states.set("offline");
  }

  /** The page goes into the back/forward cache and takes its session with it. */
  function freeze(): void {
    letGo();
    states.set("disconnected");
  }

  // What connections tell.

  function hello(from: Connection): void {
    if (from === connection) return;
    connection?.drop();
    connection = from;
    successor = undefined;
  }

  function welcomed({ transport }: Connection, info: StateInfo): void {
    backoff.connected();
    if (transport === "websocket") stay();
    else if (settings.WebSocket) upgradeLater();
    states.set("connected", info);
  }

  function goAway(within: number): void {
    stay();
    const same = connection!.transport === "streaming" ? streaming : socket;
    moveTimer = setTimeout(() => move(same()), Math.random() * within);
  }

  function lost(from: Connection, parting: Parting): void {
    if (from === successor) return moveFailed();
    const { code, then, within } = parting;
    if (then === "final") return finish(code);
    if (then === "new") session.forget(code);
    letGo();
    if (code === "buffered") return open(streaming());
    const wait = backoff.next(within);
    if (from.welcomed || then === "new") retry("disconnected", wait, code);
    else void refused(from, parting, wait);
  }

  // Connecting.

  function attempt(): void {
    letGo();
    states.set("connecting");
    open(settings.WebSocket && Date.now() >= socketFrom ? socket() : streaming());
  }

  function open(next: Connection): void {
    connection = next;
    next.open();
  }

  /** Beside another connection it is patient. */
  function socket(): Connection {
    return new SocketConnection(session, settings, watcher(), !!connection);
  }

  function streaming(): Connection {
    return new StreamingConnection(session, settings, watcher());
  }

  function watcher() {
    return { hello, welcomed, lost, goAway };
  }

  /** No welcome came. Where the server can be reached, WebSocket is what failed: streaming follows. */
  async function refused({ transport }: Connection, { code, told }: Parting, wait: number): Promise<void> {
    const reachable = told || (await isReachable(settings));
    if (!started || connection || retryTimer) return; // something else happened meanwhile
    if (!reachable) return retry("walled", wait, code);
    if (told || transport === "streaming") return retry("disconnected", wait, code);
    socketFrom = Date.now() + upgradeAfter;
    open(streaming());
  }

  function retry(state: State, wait: number, code: string): void {
    retryTimer = setTimeout(attempt, wait);
    states.set(globalThis.navigator?.onLine === false ? "offline" : state, { code });
  }

  /** Opens a successor while the connection works, which its hello replaces. */
  function move(next: Connection): void {
    stay();
    successor = next;
    next.open();
  }

  function upgradeLater(): void {
    moveTimer ??= setTimeout(() => move(socket()), upgradeAfter);
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
    successor?.drop();
    connection?.drop();
    retryTimer = successor = connection = undefined;
  }

  /** Ends the session and does not connect again by itself. */
  function finish(code: string, say?: () => void): void {
    if (!started) return;
    started = false;
    ended = code;
    states.set("closing", { code, final: true });
    leavePage();
    say?.();
    letGo();
    session.end(closed(code));
    states.set("disconnected", { code, final: true });
  }

  /** Lines of one turn of the event loop travel together. */
  function wake(): void {
    if (waking) return;
    waking = true;
    queueMicrotask(() => {
      waking = false;
      connection?.flush();
    });
  }
}

/** A name without the leading slash that api-ape's paths may have. */
function checked(name: string): string {
  const bare = name.replace(/^\//, "");
  if (!bare) throw new ApeError({ code: "malformed", message: "a path, event or channel needs a name" });
  return bare;
}

/** Bytes are copied: they may wait, and the page may use its buffer again. */
function payloadOf(data: unknown): string | Uint8Array | undefined {
  return data === undefined ? undefined : (bytesOf(data)?.slice() ?? encode(data));
}

function closed(code: string): ApeError {
  return new ApeError({ code: "closed", message: "the connection has ended: " + code, data: { code } });
}
