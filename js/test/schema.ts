// Checked by tsc only: an interface as a server writes it, and what it allows.

import {
  connect, type Api as ApiOf, type Call, type Channel, type CollectCall, type DuplexCall, type ServerCall, type StreamCall,
} from "../src/ape";

interface User {
  id: number;
  born: Date;
}

interface Price {
  value: number;
}

interface Events {
  "chat/message": { text: string };
  bye: void;
}

interface Channels {
  [name: `ticker/${string}`]: Price;
  "news/banking": string;
}

interface Handlers {
  confirm: { in: { question: string }; out: boolean };
  ping: {};
  count: { in: number; stream: number };
  sum: { items: number; out: number };
}

interface Api {
  $: { events: Events; channels: Channels; handlers: Handlers };
  users: Call<void, User[]> & {
    get: Call<number, User | null>;
    find: Call<{ name: string } | undefined, User[]>;
    remove: Call<number>;
  };
  ticker: { list: Call<void, string[]> };
  files: { readonly [path: string]: Call<void, Uint8Array> };
  logs: { tail: StreamCall<{ file: string }, string> };
  sum: CollectCall<number, number>;
  double: DuplexCall<number, string>;
  own: Channel<boolean>;
}

const api = connect<Api>();

export async function calls(): Promise<void> {
  (await api.users())[0].born.getTime();
  (await api.users.get(3, { timeout: 1, key: "k" }))?.id.toFixed();
  await api.users.find();
  await api.users.find(undefined, { signal: new AbortController().signal });
  const nothing: void = await api.users.remove(3);
  const file: Uint8Array = await api.files.whatever();
  console.log(nothing, file, await api.ticker.list());
  // @ts-expect-error: no such path
  await api.user.get(3);
  // @ts-expect-error: no such path below
  await api.users.gets(3);
  // @ts-expect-error: the argument is a number
  await api.users.get("3");
  // @ts-expect-error: the argument is missing
  await api.users.get();
  // @ts-expect-error: takes nothing
  await api.users(3);
  // @ts-expect-error: a field that is not there
  await api.users.find({ nam: "Ann" });
  // @ts-expect-error: no such field of the answer
  (await api.users())[0].name;
  // @ts-expect-error: no such option
  await api.users.get(3, { timout: 1 });
}

async function* numbers(): AsyncGenerator<number> {
  yield 1;
}

async function* texts(): AsyncGenerator<string> {
  yield "";
}

export async function streams(): Promise<void> {
  for await (const line of api.logs.tail({ file: "x" }, { window: 8 })) line.toUpperCase();
  const total: number = await api.sum(numbers());
  for await (const text of api.double(numbers())) text.toUpperCase();
  for await (const any of api.$.stream("logs/tail", total)) any.anything;
  for await (const line of api.$.stream<string>("logs/tail")) line.toUpperCase();
  // @ts-expect-error: the argument is missing
  api.logs.tail();
  // @ts-expect-error: the items are texts
  for await (const line of api.logs.tail({ file: "x" })) line.toFixed();
  // @ts-expect-error: a stream has no single value
  (await api.logs.tail({ file: "x" })).toUpperCase();
  // @ts-expect-error: takes numbers
  await api.sum(texts());
  // @ts-expect-error: takes a stream
  await api.sum(1);
  // @ts-expect-error: a call's answer is no stream
  for await (const user of api.users()) user;
}

export async function channels(): Promise<void> {
  await api.news.banking((value) => value.toUpperCase()).ready;
  api.ticker.ABC(({ value }) => value.toFixed())();
  api.own((value: boolean) => value);
  api.$.subscribe("ticker/ABC", ({ value }) => value.toFixed())();
  const prices = api.$.subscribe("ticker/ABC", { buffer: 16, drop: "oldest" });
  for await (const { value } of prices) console.log(value.toFixed(), prices.dropped.toFixed());
  for await (const text of api.$.subscribe("news/banking")) text.toUpperCase();
  // @ts-expect-error: no such channel
  api.$.subscribe("tickers/ABC", () => {});
  // @ts-expect-error: no such channel below
  api.news.sport(() => {});
  // @ts-expect-error: the value is a text
  api.news.banking((value: number) => value);
  // @ts-expect-error: a price is no text
  for await (const text of api.$.subscribe("ticker/ABC")) text.toUpperCase();
  // @ts-expect-error: no such policy
  api.$.subscribe("ticker/ABC", { drop: "all" });
}

export function events(): void {
  api.on("chat/message", ({ text }) => text.toUpperCase())();
  api.$.on("bye", () => {});
  api.on("news/banking", (text) => text.toUpperCase());
  api.on((message) => {
    if (message.type === "chat/message") message.data.text.toUpperCase();
  });
  // @ts-expect-error: no such event
  api.on("chat/massage", () => {});
  // @ts-expect-error: no such field
  api.on("chat/message", ({ txt }) => txt);
}

export function handlers(): void {
  api.$.handle("confirm", ({ question }, { signal, path }: ServerCall) => !signal.aborted && question === path)();
  api.$.handle("confirm", async () => true);
  api.$.handle("ping", () => {});
  api.$.handle("ping", async () => {});
  api.$.handle("count", async function* (n) {
    yield n + 1;
  });
  api.$.handle("sum", async (items) => {
    let sum = 0;
    for await (const n of items) sum += n;
    return sum;
  });
  // @ts-expect-error: no such handler
  api.$.handle("conform", () => true);
  // @ts-expect-error: the answer is a boolean
  api.$.handle("confirm", () => "yes");
  // @ts-expect-error: no such field
  api.$.handle("confirm", ({ answer }) => answer);
  // @ts-expect-error: answers with a stream
  api.$.handle("count", async (n) => n);
}

interface PathsOnly {
  users: { list: Call<void, User[]> };
}

/** What is not declared is not checked. */
export async function paths(own: ApiOf<PathsOnly>): Promise<void> {
  (await own.users.list())[0].born.getTime();
  own.on("whatever", (data) => data.anything);
  own.$.subscribe<number>("whatever", (n) => n.toFixed());
  for await (const n of own.$.subscribe<number>("whatever")) n.toFixed();
  own.$.handle("whatever", (data) => data.anything);
  // @ts-expect-error: no such path
  await own.users.all();
}

export async function loose(all: ApiOf): Promise<void> {
  for await (const item of all.logs.tail({ file: "x" })) item.anything;
  for await (const item of all.logs("/tail", { file: "x" })) item.anything;
  (await all.sum(numbers())).anything;
  all.$.handle("any", async (data, { path }) => [data, path]);
  connect("/x", { timeouts: { "reports/build": 60_000 }, timeout: 1 });
}
