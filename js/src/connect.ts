// Making clients.

import { absolute } from "./base";
import { Client } from "./client";
import { createApi } from "./proxy";

export interface ConnectOptions {
  auth?: unknown;
  timeout?: number;
  WebSocket?: typeof WebSocket | null;
  fetch?: typeof fetch;
}

/** A client that connects when it is used. */
export function lazy(url: string, options: ConnectOptions = {}): Client {
  const { auth, timeout, WebSocket = globalThis.WebSocket, fetch = globalThis.fetch } = options;
  const configure = () => ({
    base: absolute(url),
    auth: typeof auth === "function" ? (auth as () => unknown) : () => auth,
    fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init), // fetch wants no `this`
    WebSocket,
  });
  return new Client(configure, timeout);
}

/** Connects to another server than the page's own, or with options. */
export function connectTo(url: string, options?: ConnectOptions): any {
  const client = lazy(url, options);
  client.connect();
  return createApi(client);
}
