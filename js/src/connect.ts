// Making clients.

import { absolute } from "./base";
import { type Client, createClient } from "./client";
import { createApi } from "./proxy";

export interface ConnectOptions {
  auth?: unknown;
  timeout?: number;
  timeouts?: Record<string, number>;
  WebSocket?: typeof WebSocket | null;
  fetch?: typeof fetch;
}

/** A client that connects when it is used. */
export function lazy(url: string, options: ConnectOptions = {}): Client {
  const { auth, timeout, timeouts, WebSocket = globalThis.WebSocket, fetch = globalThis.fetch } = options;
  const configure = () => ({
    base: absolute(url),
    async auth() {
      try {
        return typeof auth === "function" ? await auth() : auth;
      } catch (error) {
        console.error("ape: auth failed, trying again:", error);
        throw error;
      }
    },
    fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init), // fetch wants no `this`
    WebSocket,
  });
  return createClient(configure, timeout, timeouts);
}

/** Connects to another server than the page's own, or with options. */
export function connectTo(url: string, options?: ConnectOptions): any {
  const client = lazy(url, options);
  client.connect();
  return createApi(client);
}
