// Checked by tsc only: what must compile, and what must not.

import api, { ApeError, connect, type Api, type CallOptions, type StateInfo } from "../src/ape";

interface User {
  id: number;
  born: Date;
}

interface Paths {
  users: {
    list(data: { limit: number }, options?: CallOptions): Promise<User[]>;
  };
  news: { banking(listener: (value: string) => void): { (): void; ready: Promise<void> } };
}

export async function typed(): Promise<void> {
  const own = connect<Paths>("/api/ape", { auth: { token: "t" }, timeout: 5 });
  const users = await own.users.list({ limit: 3 }, { timeout: 100, signal: new AbortController().signal });
  users[0].born.getTime();
  // @ts-expect-error: the argument is an object
  await own.users.list(3);
  // @ts-expect-error: there is no such path
  await own.users.lists({ limit: 3 });
  const off = own.news.banking((value) => value.toUpperCase());
  await off.ready;
  off();
  own.onConnectionChange((state, info: StateInfo) => console.log(state, info.gap));
  // @ts-expect-error: no such state
  own.onConnectionChange((state) => state === "open");
}

export async function untyped(): Promise<void> {
  const all: Api = await api;
  const answer = await all.users.list({ limit: 3 });
  console.log(answer.anything);
  await all.a("/b", 1);
  all.news.banking((value: string) => value)();
  all.on("chat", (data) => data.text);
  all.on(({ type, data }) => console.log(type, data));
  all.setOnReceiver("chat", () => {})();
  const id: string = all.$.id;
  await all.$.call<number>(id, undefined, { timeout: Infinity });
  // @ts-expect-error: an event has a name
  all.$.send();
  if (all.transport === "websocket") all.$.close();
  try {
    await all.$.call("x");
  } catch (error) {
    if (error instanceof ApeError) error.code.startsWith(error.path);
  }
}
