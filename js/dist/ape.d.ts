// Types of @goape/ape. For a server's own paths, give connect the interface that the server wrote for them (WriteTypes):
//   const api = connect<Api>()

/** What the server, or this client in its stead, says of a call that failed. */
export class ApeError extends Error {
  constructor(failure: { code: string; message?: string; data?: unknown }, path?: string, cause?: unknown);
  /**
   * Made by the server: the application's own codes, and not_found, invalid, denied, unauthenticated, conflict,
   * exists, failed, busy, too_large, internal. Made here: deadline (no answer in time), cancelled (by a signal, or by
   * the items of the call that threw), lost (it was sent, and the session ended before the answer), closed, overflow
   * (more than 1 MiB waits), credit (the server sent more items than were asked for), malformed.
   */
  readonly code: string;
  /** Path or channel; empty when the error belongs to none. */
  readonly path: string;
  readonly data: any;
  readonly cause?: unknown;
}

export interface CallOptions {
  /** Milliseconds until the call fails with `deadline`, 10,000 if not given; streams have none. 0 or Infinity: never. */
  timeout?: number;
  /** Cancels the call, here and on the server. */
  signal?: AbortSignal;
  /**
   * Idempotency key: with the same one, the server runs the path once, and every such call gets that answer. A call
   * that has one is sent again where it would fail with `lost`, as long as the server remembers the key.
   */
  key?: string;
  /** Of a stream: how many items may wait here, 64 if not given. */
  window?: number;
}

export interface SubscribeOptions {
  /** Messages that may wait for the loop, 64 if not given. */
  buffer?: number;
  /** Which message goes when one more comes: the "oldest" that waits, if not given, or the "newest", which has come. */
  drop?: "oldest" | "newest";
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
  /** Which they were. Calls that are sent again, because they have a key, are not among them. */
  lostCalls?: { path: string; key?: string }[];
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

// What calls give back.

/** What a stream brings: `for await (const item of …)`. Leaving the loop cancels the call; a failure is thrown by it. */
export interface Stream<Item = any, End = void> {
  [Symbol.asyncIterator](): AsyncIterator<Item, End, undefined>;
}

/** What a call gives of which no type is known: to be awaited or, in the same turn, to be iterated. */
export interface Answer<T = any> extends Promise<T>, Stream<any, any> {}

/** The messages of a channel: `for await (const value of …)`. Leaving the loop unsubscribes. Throws when the server does. */
export interface Subscription<T = any> extends AsyncIterableIterator<T> {
  /** How many messages were dropped, because the loop was slower than the server. */
  readonly dropped: number;
  return(): Promise<IteratorResult<T, undefined>>;
}

// What paths are, in an interface for connect. A path that is several things is their intersection:
//   users: Call<void, User[]> & { get: Call<number, User> }

/** Optional where undefined will do. */
type Arguments<In> = undefined extends In ? [data?: In, options?: CallOptions] : [data: In, options?: CallOptions];

/** A path that takes a value and answers with one; void: none. */
export interface Call<In = void, Out = void> {
  (...args: Arguments<In>): Promise<Out>;
}

/** A path that takes a value and answers with a stream. */
export interface StreamCall<In = void, Item = void, End = void> {
  (...args: Arguments<In>): Stream<Item, End>;
}

/** A path that takes a stream and answers with a value. */
export interface CollectCall<Item, Out = void> {
  (items: AsyncIterable<Item>, options?: CallOptions): Promise<Out>;
}

/** A path that takes a stream and answers with one. */
export interface DuplexCall<Item, Out, End = void> {
  (items: AsyncIterable<Item>, options?: CallOptions): Stream<Out, End>;
}

/** A channel, called as a path is. Those that `$` declares need none. */
export interface Channel<T = any> {
  (listener: Subscriber<T>): Unsubscribe;
}

/** A path of which nothing more is known. */
export interface Path {
  /** Subscribes to the channel of that name. */
  <T>(listener: Subscriber<T>): Unsubscribe;
  <T>(below: `/${string}`, listener: Subscriber<T>): Unsubscribe;
  /** Calls the path below: `api.users("/list", data)` is `api.users.list(data)`. */
  (below: `/${string}`, data: unknown, options?: CallOptions): Answer;
  /** Calls. */
  (data?: unknown, options?: CallOptions): Answer;
  readonly [name: string]: Path;
}

/** An api of which no types are known. */
export type AnyApi = { readonly [name: string]: Path };

// What an interface for connect may say beside paths, as the member `$`, which is none:
//   interface Api {
//     $: { events: { "chat/message": Chat }; channels: { [name: `ticker/${string}`]: Price }; handlers: { confirm: { in: Question; out: boolean } } };
//     users: { list: Call<Filter, User[]> };
//   }
// Of what is left out, everything is allowed.

/** What the server may call. */
export interface Handled {
  /** The value that comes; left out: none. */
  in?: unknown;
  /** Instead of a value: each item of the stream that comes. */
  items?: unknown;
  /** The answer; left out: none. */
  out?: unknown;
  /** Instead of an answer: each item of the stream that goes. */
  stream?: unknown;
}

/** A call of the server, as its handler sees it. */
export interface ServerCall {
  readonly path: string;
  /** Aborted when nobody waits any more: cancelled, too late, or the session is gone. */
  readonly signal: AbortSignal;
}

/** The function that handles such calls. */
export type Handler<H = any> = (
  data: H extends { items: infer Item } ? AsyncIterable<Item> : H extends { in: infer In } ? In : undefined,
  call: ServerCall,
) => H extends { stream: infer Item } ? AsyncIterable<Item> : Result<H extends { out: infer Out } ? Out : void>;

type Result<T> = T | PromiseLike<T>;

type Part<Schema, Name extends string> = Schema extends { readonly $: { readonly [K in Name]: infer P } } ? P : unknown;

type MessageOf<Events> = { [K in keyof Events]: { type: K; data: Events[K] } }[keyof Events];

interface LooseOn {
  <T = any>(event: string, listener: (data: T) => void): Off;
  (listener: (message: Message) => void): Off;
}

interface TypedOn<Events> {
  <K extends keyof Events>(event: K, listener: (data: Events[K]) => void): Off;
  (listener: (message: MessageOf<Events>) => void): Off;
}

interface LooseSubscribe {
  <T = any>(channel: string, listener: Subscriber<T>): Unsubscribe;
  <T = any>(channel: string, options?: SubscribeOptions): Subscription<T>;
}

interface TypedSubscribe<Channels> {
  <K extends keyof Channels>(channel: K, listener: Subscriber<Channels[K]>): Unsubscribe;
  <K extends keyof Channels>(channel: K, options?: SubscribeOptions): Subscription<Channels[K]>;
}

interface LooseHandle {
  (path: string, handler: (data: any, call: ServerCall) => unknown): Off;
}

interface TypedHandle<Handlers> {
  <K extends keyof Handlers>(path: K, handler: Handler<Handlers[K]>): Off;
}

/** Everything by name: reaches also paths that are called like a member of the api. */
export interface Client<Schema = AnyApi> {
  /** The session's public id; empty before the first connection. */
  readonly id: string;
  readonly state: State;
  readonly transport: "websocket" | "streaming" | null;
  /** Connects again after the end: after close, or when the server said that it is final. */
  connect(): void;
  /** Ends the session. Open calls fail with `closed`; subscriptions are renewed by the next connect. */
  close(): void;
  /** Calls a path. The data may be an async iterable: its items are sent as the server takes them. */
  call<T = any>(path: string, data?: unknown, options?: CallOptions): Answer<T>;
  /** Calls a path that answers with a stream. */
  stream<T = any>(path: string, data?: unknown, options?: CallOptions): Stream<T, any>;
  /** Subscribes a function, or gives what comes as an async iterator. */
  readonly subscribe: unknown extends Part<Schema, "channels"> ? LooseSubscribe : TypedSubscribe<Part<Schema, "channels">>;
  /**
   * Lets the server call a function here. It gets the data, which is an async iterable where the server sends items,
   * and gives the answer, a promise of it, or an async iterable of items. The server is told of an ApeError that it
   * throws; all else is reported here, and `internal` there. A second one of the same path takes the place of the first.
   */
  readonly handle: unknown extends Part<Schema, "handlers"> ? LooseHandle : TypedHandle<Part<Schema, "handlers">>;
  /** Sends an event, which is not answered. Throws an ApeError when too much waits, or after the end. */
  send(event: string, data?: unknown): void;
  /** Hears one event of the server, or all of them, and likewise channels that only the server has subscribed us to. */
  readonly on: unknown extends Part<Schema, "events"> ? LooseOn : TypedOn<Part<Schema, "events"> & Heard<Schema>>;
  /** Is called at once with the current state. */
  onConnectionChange(listener: (state: State, info: StateInfo) => void): Off;
}

/** Channels, where they are declared: `on` hears those that only the server has subscribed us to. */
type Heard<Schema> = unknown extends Part<Schema, "channels"> ? {} : Part<Schema, "channels">;

/** What every api has beside its paths. */
export interface Surface<Schema = AnyApi> {
  readonly $: Client<Schema>;
  readonly on: Client<Schema>["on"];
  /** The same as `on`, as api-ape calls it. */
  readonly setOnReceiver: Client<Schema>["on"];
  readonly onConnectionChange: Client["onConnectionChange"];
  readonly transport: Client["transport"];
  /** No path: `await api` is `api`. */
  readonly then: undefined;
}

/** Channels as paths: {"news/banking": T} is {news: {banking: Channel<T>}}. */
type ChannelPaths<Channels> = unknown extends Channels ? unknown : Together<{ [K in keyof Channels]: Nested<K, Channel<Channels[K]>> }[keyof Channels]>;
type Nested<Name, T> = Name extends `${infer First}/${infer Rest}`
  ? { readonly [K in First]: Nested<Rest, T> }
  : { readonly [K in Name & string]: T };
type Together<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void ? All : never;

export interface ConnectOptions {
  /** Any JSON for the server's connect hook, or a function that gives it before every connection. */
  auth?: unknown | (() => unknown);
  /** Milliseconds that a call may take, 10,000 if not given. */
  timeout?: number;
  /** The same for single paths: `{ "reports/build": 60_000 }`. Holds for streams too. */
  timeouts?: { readonly [path: string]: number };
  /** Another implementation; null: streaming only. */
  WebSocket?: typeof WebSocket | null;
  fetch?: typeof fetch;
}

/** What connect gives: paths as the interface has them, and what every api has. */
export type Api<Schema = AnyApi> = Omit<Schema, keyof Surface> & ChannelPaths<Part<Schema, "channels">> & Surface<Schema>;

/**
 * Connects to a server. The URL is the one it is mounted at plus `/ape`, as in "https://example.org/api/ape";
 * left out, the page's own server.
 */
export function connect<Schema = AnyApi>(url?: string, options?: ConnectOptions): Api<Schema>;

declare const api: Api;
/** The page's own server. It connects when it is first used. */
export default api;
