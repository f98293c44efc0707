// The link to the server: keeps one connection, and changes, repairs and ends it.

import { createBackoff } from "./backoff";
import type { Connection, Parting, Settings, Watcher } from "./connection";
import { ApeError } from "./error";
import type { Off } from "./listeners";
import { type Guest, watchPage } from "./page";
import { isReachable } from "./ping";
import { Session } from "./session";
import { type State, type StateInfo, States } from "./states";
import { StreamingConnection } from "./streaming";
import { SocketConnection } from "./websocket";

/** How long streaming goes on before WebSocket is tried again. */
const upgradeAfter = 60_000;

type Timer = ReturnType<typeof setTimeout>;

export class Link implements Watcher, Guest {
  readonly states = new States();
  readonly session: Session;
  /** Whose lines count. */
  connection: Connection | undefined;

  private readonly backoff = createBackoff();
  private settings!: Settings;
  /** One that is being opened while the other still works. */
  private successor: Connection | undefined;
  private retryTimer: Timer | undefined;
  private moveTimer: Timer | undefined;
  /** WebSocket is not tried before this time. */
  private socketFrom = 0;
  private waking = false;
  private started = false;
  /** Why there will be no further connection, unless the application connects again. */
  private ended = "";
  private leavePage!: Off;

  /** The settings are asked for when they are needed. `event` hears what the server sends unasked. */
  constructor(
    private readonly configure: () => Settings,
    event: (type: string, data: unknown) => void,
  ) {
    this.session = new Session(() => this.wake(), event);
  }

  // What the application does.

  connect(): void {
    if (this.started) return;
    this.settings ??= this.configure();
    this.started = true;
    this.ended = "";
    this.leavePage = watchPage(this);
    this.attempt();
  }

  /** Connects, but not again after the end. */
  use(): void {
    if (!this.ended) this.connect();
  }

  /** Like `use`, and throws after the end. */
  begin(): void {
    if (this.ended) throw closed(this.ended);
    this.connect();
  }

  /** Ends the session, perhaps with a goodbye, and does not connect again by itself. */
  finish(code: string, bye = false): void {
    if (!this.started) return;
    this.started = false;
    this.ended = code;
    this.states.set("closing", { code, final: true });
    this.leavePage();
    if (bye) this.connection?.bye();
    this.letGo();
    this.session.end(closed(code));
    this.states.set("disconnected", { code, final: true });
  }

  // What the page does.

  /** The page may have slept, or has a network again. */
  awake(): void {
    if (this.retryTimer) this.attempt();
    else this.connection?.probe();
  }

  /** The page has no network. What is connected may stay so. */
  cutOff(): void {
    if (this.retryTimer) this.states.set("offline");
  }

  /** The page goes into the back/forward cache and takes its session with it. */
  freeze(): void {
    this.letGo();
    this.states.set("disconnected");
  }

  // What connections tell.

  hello(from: Connection): void {
    if (from === this.connection) return;
    this.connection?.drop();
    this.connection = from;
    this.successor = undefined;
  }

  welcomed({ transport }: Connection, info: StateInfo): void {
    this.backoff.connected();
    if (transport === "websocket") this.stay();
    else if (this.settings.WebSocket) this.upgradeLater();
    this.states.set("connected", info);
  }

  goAway(within: number): void {
    const isStream = this.connection!.transport === "streaming";
    this.moveLater(Math.random() * within, isStream);
  }

  lost(from: Connection, parting: Parting): void {
    if (from === this.successor) return this.moveFailed();
    const { code, then, within } = parting;
    if (then === "final") return this.finish(code);
    if (then === "new") this.session.forget(code);
    this.letGo();
    if (code === "buffered") return this.open(this.stream());
    const wait = this.backoff.next(within);
    if (from.welcomed || then === "new") this.retry("disconnected", wait, code);
    else void this.refused(from, parting, wait);
  }

  // Connecting.

  attempt(): void {
    this.letGo();
    this.states.set("connecting");
    this.open(this.settings.WebSocket && Date.now() >= this.socketFrom ? this.socket() : this.stream());
  }

  private open(next: Connection): void {
    this.connection = next;
    next.open();
  }

  /** Beside another connection it is patient. */
  private socket(): Connection {
    return new SocketConnection(this.session, this.settings, this, !!this.connection);
  }

  private stream(): Connection {
    return new StreamingConnection(this.session, this.settings, this);
  }

  /** No welcome came. Where the server can be reached, WebSocket is what failed: streaming follows. */
  private async refused({ transport }: Connection, { code, told }: Parting, wait: number): Promise<void> {
    const reachable = told || (await isReachable(this.settings));
    if (!this.started || this.connection || this.retryTimer) return; // something else happened meanwhile
    if (!reachable) return this.retry("walled", wait, code);
    if (told || transport === "streaming") return this.retry("disconnected", wait, code);
    this.socketFrom = Date.now() + upgradeAfter;
    this.open(this.stream());
  }

  private retry(state: State, wait: number, code: string): void {
    this.retryTimer = setTimeout(() => this.attempt(), wait);
    this.states.set(globalThis.navigator?.onLine === false ? "offline" : state, { code });
  }

  // Moving to another connection while one works.

  private upgradeLater(): void {
    if (!this.moveTimer) this.moveLater(upgradeAfter, false);
  }

  /** Opens a successor, whose hello will replace the connection. */
  private moveLater(wait: number, isStream: boolean): void {
    this.stay();
    this.moveTimer = setTimeout(() => {
      this.stay();
      this.successor = isStream ? this.stream() : this.socket();
      this.successor.open();
    }, wait);
  }

  private moveFailed(): void {
    this.successor = undefined;
    this.socketFrom = Date.now() + upgradeAfter;
    if (this.connection?.transport === "streaming") this.upgradeLater();
  }

  private stay(): void {
    clearTimeout(this.moveTimer);
    this.moveTimer = undefined;
  }

  /** Drops every connection and plan; the server keeps the session. */
  private letGo(): void {
    this.stay();
    clearTimeout(this.retryTimer);
    this.successor?.drop();
    this.connection?.drop();
    this.retryTimer = this.successor = this.connection = undefined;
  }

  /** Lines of one turn of the event loop travel together. */
  private wake(): void {
    if (this.waking) return;
    this.waking = true;
    queueMicrotask(() => {
      this.waking = false;
      this.connection?.flush();
    });
  }
}

function closed(code: string): ApeError {
  return new ApeError({ code: "closed", message: "the connection has ended: " + code, data: { code } });
}
