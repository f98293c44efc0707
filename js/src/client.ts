// The client: keeps one connection, and changes, repairs and ends it.

import { Backoff } from "./backoff";
import type { CallOptions } from "./calls";
import type { Subscriber, Unsubscribe } from "./channels";
import { encode } from "./codec";
import { bytesOf } from "./base64";
import type { Connection, Parting, Settings, Transport } from "./connection";
import { ApeError } from "./error";
import { writeName } from "./line";
import { type Off, Listeners } from "./listeners";
import { watchPage } from "./page";
import { isReachable } from "./ping";
import { Session } from "./session";
import { type State, type StateInfo, States } from "./states";
import { StreamingConnection } from "./streaming";
import { SocketConnection } from "./websocket";

/** How long streaming goes on before WebSocket is tried again. */
const upgradeAfter = 60_000;

export interface Message {
  type: string;
  data: unknown;
}

export class Client {
  private readonly session = new Session(() => this.wake());
  private readonly states = new States();
  private readonly catchAll = new Listeners<[message: Message]>();
  private readonly named = new Map<string, Listeners<[data: unknown]>>();
  private readonly backoff = new Backoff();

  /** Whose lines count. */
  private connection: Connection | undefined;
  /** One that is being opened while the other still works. */
  private successor: Connection | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private moveTimer: ReturnType<typeof setTimeout> | undefined;
  /** WebSocket is not tried before this time. */
  private socketFrom = 0;
  private waking = false;
  private started = false;
  private ended: Parting["code"] | undefined;
  private leavePage: Off = () => {};

  constructor(
    /** Asked for once, at the first connection. */
    private readonly configure: () => Settings,
    private readonly timeout = 10_000,
  ) {
    this.session.events.add((type, data) => {
      this.named.get(type)?.tell(data);
      this.catchAll.tell({ type, data });
    });
  }

  private settings!: Settings;

  get id(): string {
    return this.session.id;
  }

  get state(): State {
    return this.states.current;
  }

  /** What carries lines now; null without a connection. */
  get transport(): Transport | null {
    return this.state === "connected" ? this.connection!.transport : null;
  }

  /** Connects; does nothing when that is done or under way. */
  connect(): void {
    if (this.started) return;
    this.settings ??= this.configure();
    this.started = true;
    this.ended = undefined;
    this.leavePage = watchPage(this);
    this.attempt();
  }

  /** Ends the session. Open calls fail with `closed`; subscriptions are renewed by the next connect. */
  close(): void {
    this.finish("closed", () => this.connection?.bye());
  }

  async call(path: string, data?: unknown, options: CallOptions = {}): Promise<unknown> {
    this.begin();
    const name = checked(path);
    try {
      return this.session.calls.call(name, payloadOf(data), { timeout: this.timeout, ...options });
    } catch (error) {
      throw located(error, name);
    }
  }

  subscribe(channel: string, listener: Subscriber): Unsubscribe {
    this.connectOnce();
    return this.session.channels.subscribe(checked(channel), listener);
  }

  /** Sends an event, which is not answered. */
  send(event: string, data?: unknown): void {
    this.begin();
    this.session.say(`m ${writeName(checked(event))}`, payloadOf(data));
  }

  on(listener: (message: Message) => void): Off;
  on(event: string, listener: (data: unknown) => void): Off;
  on(first: string | ((message: Message) => void), listener?: (data: unknown) => void): Off {
    this.connectOnce();
    if (typeof first === "function") return this.catchAll.add(first);
    const event = checked(first);
    const listeners = this.named.get(event) ?? new Listeners();
    this.named.set(event, listeners);
    return listeners.add(listener!);
  }

  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off {
    this.connectOnce();
    return this.states.listen(listener);
  }

  // What the page does.

  /** The page may have slept, or has a network again. */
  awake(): void {
    if (this.retryTimer !== undefined) this.attempt();
    else this.connection?.probe();
  }

  /** The page has no network. What is connected may stay so. */
  offline(): void {
    if (this.retryTimer !== undefined) this.states.set("offline");
  }

  /** The page goes into the back/forward cache and takes its session with it. */
  freeze(): void {
    this.letGo();
    this.states.set("disconnected");
  }

  thaw(): void {
    if (this.started) this.attempt();
  }

  // What connections tell.

  hello(connection: Connection): void {
    if (connection === this.connection) return;
    this.connection?.drop();
    this.connection = connection;
    if (this.successor === connection) this.successor = undefined;
  }

  welcomed(connection: Connection, info: StateInfo): void {
    this.backoff.connected();
    if (connection.transport === "streaming" && this.settings.WebSocket) {
      this.moveTimer ??= setTimeout(() => this.move(), Math.max(0, this.socketFrom - Date.now()) || upgradeAfter);
    } else {
      this.stay();
    }
    this.states.set("connected", info);
  }

  goAway(within: number): void {
    this.stay();
    this.moveTimer = setTimeout(() => this.move(), Math.random() * within);
  }

  lost(connection: Connection, parting: Parting): void {
    if (connection === this.successor) return this.moveFailed();
    if (parting.then === "final") return this.finish(parting.code);
    if (parting.then === "new") this.session.forget(parting.code);
    this.letGo();
    const wait = this.backoff.next(parting.within);
    if (connection.welcomed) return this.retry("disconnected", wait, parting);
    void this.refused(connection, parting, wait);
  }

  // Connecting.

  private begin(): void {
    if (this.ended) throw closed(this.ended);
    this.connect();
  }

  private connectOnce(): void {
    if (!this.ended) this.connect();
  }

  private attempt(): void {
    this.letGo();
    this.states.set("connecting");
    const useSocket = this.settings.WebSocket && Date.now() >= this.socketFrom;
    this.open(useSocket ? this.socket() : this.streaming());
  }

  private open(connection: Connection): void {
    this.connection = connection;
    connection.open();
  }

  private socket(): SocketConnection {
    return new SocketConnection(this.session, this.settings, this);
  }

  private streaming(): StreamingConnection {
    return new StreamingConnection(this.session, this.settings, this);
  }

  /** No welcome came. Where the server can be reached, WebSocket is what failed: streaming follows. */
  private async refused(connection: Connection, parting: Parting, wait: number): Promise<void> {
    const reachable = parting.told || (await isReachable(this.settings));
    if (!this.started || this.connection || this.retryTimer !== undefined) return; // something else happened meanwhile
    if (!reachable) return this.retry("walled", wait, parting);
    if (parting.told || connection.transport === "streaming") return this.retry("disconnected", wait, parting);
    this.socketFrom = Date.now() + upgradeAfter;
    this.open(this.streaming());
  }

  private retry(state: State, wait: number, { code }: Parting): void {
    this.retryTimer = setTimeout(() => this.attempt(), wait);
    this.states.set(globalThis.navigator?.onLine === false ? "offline" : state, { code });
  }

  /** Opens a successor while the connection works: WebSocket if there is one. */
  private move(): void {
    this.stay();
    if (this.settings.WebSocket) {
      const socket = this.socket();
      socket.patient = true;
      this.successor = socket;
      socket.open();
    } else {
      this.streaming().open();
    }
  }

  private moveFailed(): void {
    this.successor = undefined;
    this.socketFrom = Date.now() + upgradeAfter;
    if (this.connection?.transport === "streaming") this.moveTimer = setTimeout(() => this.move(), upgradeAfter);
  }

  private stay(): void {
    clearTimeout(this.moveTimer);
    this.moveTimer = undefined;
  }

  /** Drops every connection and plan; the server keeps the session. */
  private letGo(): void {
    this.stay();
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    this.successor?.drop();
    this.connection?.drop();
    this.successor = this.connection = undefined;
  }

  /** Ends the session and does not connect again by itself. */
  private finish(code: string, say = () => {}): void {
    if (!this.started) return;
    this.started = false;
    this.ended = code;
    this.states.set("closing", { code, final: true });
    this.leavePage();
    say();
    this.letGo();
    this.session.end(closed(code));
    this.states.set("disconnected", { code, final: true });
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

/** A name without the leading slash that api-ape's paths may have. */
function checked(name: string): string {
  const bare = String(name).replace(/^\//, "");
  if (!bare) throw new ApeError({ code: "malformed", message: "a path, event or channel needs a name" });
  return bare;
}

function payloadOf(data: unknown): string | Uint8Array | undefined {
  return data === undefined ? undefined : (bytesOf(data)?.slice() ?? encode(data));
}

function closed(code: string): ApeError {
  return new ApeError({ code: "closed", message: `the connection has ended: ${code}`, data: { code } });
}

/** What kept a call from being written, as the error of that call. */
function located(error: unknown, path: string): ApeError {
  if (error instanceof ApeError) return new ApeError(error, path);
  return new ApeError({ code: "invalid", message: (error as Error).message }, path, error);
}
