import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, settle } from "../fake/world.mjs";

test("a subscription without a function is an async iterator; leaving the loop unsubscribes", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const loop = (async () => {
    for await (const value of world.api.$.subscribe("/ticker/ABC")) if (seen.push(value) === 3) break;
  })();
  await settle();
  assert.deepEqual(socket.take(), ["s 1 ticker/ABC;l"]);
  socket.send("r 1", 'b ticker/ABC;l {"at<!D>":7}', "b ticker/ABC 2", "b ticker/ABC 3", "b ticker/ABC 4");
  await loop;
  await settle();
  assert.deepEqual(seen, [{ at: new Date(7) }, 2, 3]);
  assert.deepEqual(socket.take(), ["u 3 ticker/ABC"]);
}));

test("it shares the subscription with functions, and begins with the last value", inWorld(async (world) => {
  const socket = await world.socket();
  const off = world.api.news(() => {});
  await settle();
  socket.send("r 1", "b news 1");
  await settle();
  const values = world.api.$.subscribe("news");
  socket.send("b news 2");
  assert.deepEqual([await values.next(), await values.next()], [{ value: 1, done: false }, { value: 2, done: false }]);
  off();
  await settle();
  assert.deepEqual(socket.take(), ["s 1 news;l"]);
  await values.return();
  await values.return();
  await settle();
  assert.deepEqual(socket.take(), ["u 3 news"]);
  assert.deepEqual(await values.next(), { value: undefined, done: true });
}));

/** What a loop gets of five messages that came before it began. */
async function five(options) {
  const result = {};
  await inWorld(async (world) => {
    const socket = await world.socket();
    const values = world.api.$.subscribe("news", options);
    await settle();
    socket.send("r 1", ...[1, 2, 3, 4, 5].map((n) => "b news " + n));
    await settle();
    result.dropped = values.dropped;
    socket.send('u 0 news {"code":"denied"}');
    const seen = (result.seen = []);
    await assert.rejects(async () => {
      for await (const value of values) seen.push(value);
    }, { code: "denied", path: "news" });
  })();
  return result;
}

test("what the loop is too slow for is dropped by the policy, and counted", async () => {
  assert.deepEqual(await five(), { dropped: 0, seen: [1, 2, 3, 4, 5] });
  assert.deepEqual(await five({ buffer: 2 }), { dropped: 3, seen: [4, 5] });
  assert.deepEqual(await five({ buffer: 2, drop: "oldest" }), { dropped: 3, seen: [4, 5] });
  assert.deepEqual(await five({ buffer: 2, drop: "newest" }), { dropped: 3, seen: [1, 2] });
});

test("64 messages wait where nothing else is said", inWorld(async (world) => {
  const socket = await world.socket();
  const values = world.api.$.subscribe("news");
  await settle();
  socket.send("r 1", ...Array.from({ length: 70 }, (_, i) => "b news " + i));
  await settle();
  assert.deepEqual([values.dropped, (await values.next()).value], [6, 6]);
}));

test("a loop that waits drops nothing", inWorld(async (world) => {
  const socket = await world.socket();
  const values = world.api.$.subscribe("news", { buffer: 1 });
  await settle();
  for (let i = 0; i < 3; i++) {
    const next = values.next();
    socket.send("b news " + i);
    assert.equal((await next).value, i);
  }
  assert.equal(values.dropped, 0);
}));

test("a refusal is thrown by the loop", inWorld(async (world) => {
  const socket = await world.socket();
  const values = world.api.$.subscribe("secret");
  const next = values.next();
  await settle();
  socket.send('e 1 {"code":"denied","message":"not yours"}');
  await assert.rejects(next, { code: "denied", message: "not yours", path: "secret" });
  assert.deepEqual(await values.next(), { value: undefined, done: true });
  await settle();
  assert.deepEqual(socket.take(), ["s 1 secret;l"]); // there is nothing to unsubscribe from
}));

test("return ends a next that waits, and takes back what was not written", inWorld(async (world) => {
  const values = world.api.$.subscribe("news");
  const next = values.next();
  await values.return();
  assert.deepEqual(await next, { value: undefined, done: true });
  const socket = await world.socket();
  assert.deepEqual(socket.take(), []);
}));

test("the loop goes on through a resume, a gap, and close and connect", inWorld(async (world) => {
  const first = await world.socket();
  const values = world.api.$.subscribe("news");
  await settle();
  first.send("r 1", "b news 1");
  first.cut();
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 1, got: 1 });
  second.send("b news 2");
  second.cut();
  await world.clock.pass(1_000);
  const third = await world.socket({ gap: "unknown" });
  assert.deepEqual(third.take(), ["s 3 news;l"]);
  third.send("r 3", "b news;l 3");
  await settle();
  world.api.$.close();
  world.api.$.connect();
  const fourth = await world.socket();
  assert.deepEqual(fourth.take(), ["s 5 news;l"]);
  fourth.send("r 5", "b news;l 4");
  const seen = [];
  for await (const value of values) if (seen.push(value) === 4) break;
  assert.deepEqual(seen, [1, 2, 3, 4]);
}));

test("what came before the server ended a subscription is seen before its end", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.on((message) => seen.push(message));
  world.api.news((value) => seen.push(value));
  await settle();
  socket.send("r 1", "b news 1", 'u 0 news {"code":"denied"}');
  await settle();
  assert.deepEqual(seen, [1]);
}));
