// Types of @goape/ape. For a server's own paths, give connect the interface that it wrote for them:
//   const api = connect<Api>()

/** What the server, or this client in its stead, says of a call that failed. */
export class ApeError extends Error {
  constructor(failure: { code: string; message?: string; data?: unknown }, path?: string, cause?: unknown);
  /**
   * Made by the server: the application's own codes, and not_found, invalid, denied, unauthenticated, conflict,
   * exists, failed, busy, too_large, internal. Made here: deadline (no answer in time), cancelled (by a signal),
   * lost (it was sent, and the session ended before the answer), closed, overflow (more than 1 MiB waits), malformed.
   */
  readonly code: string;
  /** Path or channel; empty when the error belongs to none. */
  readonly path: string;
  readonly data: any;
  readonly cause?: unknown;
}

export interface CallOptions {
  /** Milliseconds until the call fails with `deadline`, 10,000 if not given. 0 or Infinity: never. */
  timeout?: number;
  /** Cancels the call, here and on the server. */
  signal?: AbortSignal;
}

export type State = "offline" | "walled" | "disconnected" | "connecting" | "connected" | "closing";

/** What came with a state. */
export interface StateInfo {
  /** The session went on, and so many lines of the server were recovered. */
  recovered?: number;
  /** The session did not go on, and why: unanswered calls failed with `lost`, subscriptions are renewed. */
  gap?: string;
  /** How many calls and subscriptions were unanswered in the gap. */
  lost?: number;
  /** Why the connection ended. */
  code?: string;
  /** The client does not connect again by itself: `api.$.connect()`. */
  final?: boolean;
}

/** Stops. Calling it again does nothing. */
export type Off = () => void;

/** Ends one function's subscription. */
export interface Unsubscribe {
  (): void;
  /** Settles with the server's answer; rejects with an ApeError when it refused. */
  readonly ready: Promise<void>;
}

export interface Message {
  type: string;
  data: any;
}

export type Subscriber<T = any> = (value: T) => void;

/** Everything by name: reaches also paths that are called like a member of the api. */
export interface Client {
  /** The session's public id; empty before the first connection. */
  readonly id: string;
  readonly state: State;
  readonly transport: "websocket" | "streaming" | null;
  /** Connects again after the end: after close, or when the server said that it is final. */
  connect(): void;
  /** Ends the session. Open calls fail with `closed`; subscriptions are renewed by the next connect. */
  close(): void;
  call<T = any>(path: string, data?: unknown, options?: CallOptions): Promise<T>;
  subscribe<T = any>(channel: string, listener: Subscriber<T>): Unsubscribe;
  /** Sends an event, which is not answered. Throws an ApeError when too much waits, or after the end. */
  send(event: string, data?: unknown): void;
  /** Hears one event of the server, or all of them, and likewise channels that only the server has subscribed us to. */
  on<T = any>(event: string, listener: (data: T) => void): Off;
  on(listener: (message: Message) => void): Off;
  /** Is called at once with the current state. */
  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off;
}

/** What every api has beside its paths. */
export interface Surface {
  readonly $: Client;
  readonly on: Client["on"];
  /** The same as `on`, as api-ape calls it. */
  readonly setOnReceiver: Client["on"];
  readonly onConnectionChange: Client["onConnectionChange"];
  readonly transport: Client["transport"];
  /** No path: `await api` is `api`. */
  readonly then: undefined;
}

/** A path of which nothing more is known. */
export interface Path {
  /** Subscribes to the channel of that name. */
  <T>(listener: Subscriber<T>): Unsubscribe;
  <T>(below: `/${string}`, listener: Subscriber<T>): Unsubscribe;
  /** Calls the path below: `api.users("/list", data)` is `api.users.list(data)`. */
  (below: `/${string}`, data: unknown, options?: CallOptions): Promise<any>;
  /** Calls. */
  (data?: unknown, options?: CallOptions): Promise<any>;
  readonly [name: string]: Path;
}

/** An api of which no types are known. */
export type AnyApi = { readonly [name: string]: Path };

export interface ConnectOptions {
  /** Any JSON for the server's connect hook, or a function that gives it before every connection. */
  auth?: unknown | (() => unknown);
  /** Milliseconds that a call may take, 10,000 if not given. */
  timeout?: number;
  /** Another implementation; null: streaming only. */
  WebSocket?: typeof WebSocket | null;
  fetch?: typeof fetch;
}

export type Api<Paths = AnyApi> = Omit<Paths, keyof Surface> & Surface;

/**
 * Connects to a server. The URL is the one it is mounted at plus `/ape`, as in "https://example.org/api/ape";
 * left out, the page's own server.
 */
export function connect<Paths = AnyApi>(url?: string, options?: ConnectOptions): Api<Paths>;

declare const api: Api;
/** The page's own server. It connects when it is first used. */
export default api;
