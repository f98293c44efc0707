// Checked by tsc only: what the declarations in shop.d.ts allow, and what they do not.

import { connect } from "@goape/ape";
import type { Api, AuthUser, Color, Level, Product, Question, Size } from "./shop";

const api = connect<Api>("/api/ape");

async function* texts(): AsyncGenerator<string> {
  yield "";
}

async function* questions(): AsyncGenerator<Question> {
  yield { text: "why" };
}

async function* images(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(3);
}

export async function calls(): Promise<void> {
  const page = await api.products.list({ limit: 3 });
  await api.products.list();
  await api.products.list({}, { timeout: 100 });
  const all: Product[] = (await api.products()) ?? [];
  const one: Product | null = await api.products.get(7);
  const nothing: void = await api.products.remove(7);
  const some = await api.products.some([1, 2]);
  await api.products.some();
  console.log(all, nothing, page.next?.length, some?.["x"].First?.length, some?.["x"].Second?.["7"]?.name);
  if (one) product(one);
  const own: Record<string, never> = await api.products.rest.own();
  const other: void = await api.products.rest.whatever();
  console.log(own, other);
  const file: Uint8Array | null = await api.files.whatever();
  const yes: boolean = await api.users["sign in"]({ name: "Ann" });
  console.log(file?.byteLength, yes, (await api.byHand()).anything, (await api.byHand({ any: 1 })).anything);

  // @ts-expect-error: no such path
  await api.product.list();
  // @ts-expect-error: no such path below
  await api.products.lists({});
  // @ts-expect-error: no such field of the argument
  await api.products.list({ limits: 3 });
  // @ts-expect-error: the field is a number
  await api.products.list({ limit: "3" });
  // @ts-expect-error: the argument is a number
  await api.products.get("7");
  // @ts-expect-error: the argument is missing
  await api.products.get();
  // @ts-expect-error: the field must be there
  await api.users.pay({});
  // @ts-expect-error: takes nothing
  await api.products({});
  // @ts-expect-error: no such option
  await api.products.get(7, { timout: 1 });
  // @ts-expect-error: no such field of the result
  page.item;
  // @ts-expect-error: an empty list may be null
  page.items.length;
  // @ts-expect-error: the result may be null
  (await api.products.get(7)).name;
  // @ts-expect-error: has no result
  (await api.products.remove(7)).name;
  // @ts-expect-error: the other User of the program
  await api.users.pay({ name: "Ann" } satisfies AuthUser);
}

function product(p: Product): void {
  const when: number = p.created.getTime() + (p.sold?.getTime() ?? 0) + (p.later ?? p.gone).getTime();
  const color: Color = "green";
  const level: Level | undefined = p.level;
  const size: Size = p.size;
  const texts: string[] = [p.price, p.stock ?? "", p.open, p.hash, p.name, p.by ?? "", p.script.source, p.err?.message ?? ""];
  const numbers: number[] = [...p.corner, p.took, p.number, p.size2.W, p["odd name"], p.image?.byteLength ?? 0, p.thumb?.length ?? 0];
  const nested: string[] = Object.keys(p.tree?.["a"]?.["b"] ?? {});
  console.log(when, color, level, size, texts, numbers, nested, p.byColor?.red?.length, p.bySize?.["size1"].toFixed());
  console.log(p.set.has(1), p.map.get("x"), p.failure?.stack, p.tags?.join(), p.labels?.join(), p.chain?.Next?.Next, p.byID?.["1"]?.left?.value);

  // @ts-expect-error: no such colour
  p.color = "blue";
  // @ts-expect-error: no such level
  p.level = 4;
  // @ts-expect-error: no such key
  p.byColor?.blue;
  // @ts-expect-error: is left out, and not null
  p.thumb = null;
  // @ts-expect-error: is null, and not left out
  p.sold = undefined;
  // @ts-expect-error: two numbers
  p.corner = [1, 2, 3];
  // @ts-expect-error: was left out by its tag
  p.Secret;
  // @ts-expect-error: is not exported
  p.secret;
  // @ts-expect-error: two fields of the same name hide each other
  p.hidden;
}

export async function streams(): Promise<void> {
  for await (const line of api.logs.tail({ text: "x" }, { window: 8 })) line.toUpperCase();
  const count: number = await api.upload(images());
  for await (const answer of api.talk(questions())) console.log(answer.toUpperCase(), count);
  // @ts-expect-error: the argument is missing
  api.logs.tail();
  // @ts-expect-error: a stream is not awaited
  (await api.logs.tail({ text: "x" })).toUpperCase();
  // @ts-expect-error: the items are bytes
  await api.upload(texts());
  // @ts-expect-error: takes a stream
  await api.upload(new Uint8Array());
  // @ts-expect-error: the items are texts
  for await (const answer of api.talk(questions())) answer.toFixed();
}

export function events(): void {
  api.on("chat/message", ({ text }) => text.toUpperCase())();
  api.on("bye", () => {});
  // @ts-expect-error: no such event
  api.on("chat/massage", () => {});
  // @ts-expect-error: no such field
  api.on("chat/message", ({ txt }) => txt);
}

export async function channels(): Promise<void> {
  api.$.subscribe("ticker/ABC", (price) => price.toFixed());
  api.$.subscribe("ticker/all", (prices) => prices?.length);
  api.$.subscribe("room/1/typing", (typing: boolean) => typing);
  api.$.subscribe("room/1", (message) => typeof message === "boolean" || message.text);
  api.news.banking((text) => text.toUpperCase());
  for await (const price of api.$.subscribe("ticker/ABC")) price.toFixed();
  // @ts-expect-error: no such channel
  api.$.subscribe("tickers/ABC", () => {});
  // @ts-expect-error: a price is no text
  api.$.subscribe("ticker/ABC", (price: string) => price);
  // @ts-expect-error: the channel that has a name has the type of its name
  api.$.subscribe("ticker/all", (prices) => prices.toFixed());
  // @ts-expect-error: no such channel below
  api.news.sport(() => {});
}

export function handlers(): void {
  api.$.handle("confirm", ({ text }) => text.length > 3);
  api.$.handle("ping", () => {});
  // @ts-expect-error: no such handler
  api.$.handle("conform", () => true);
  // @ts-expect-error: the answer is a boolean
  api.$.handle("confirm", () => "yes");
  // @ts-expect-error: no such field
  api.$.handle("confirm", ({ answer }) => answer);
}
