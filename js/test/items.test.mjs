import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, outcome, settle } from "../fake/world.mjs";

/** Items, and what became of who makes them. */
function source(...items) {
  const log = [];
  const made = (async function* () {
    try {
      for (const item of items) {
        if (item instanceof Error) throw item;
        log.push(item);
        yield item;
      }
      log.push("end");
    } finally {
      log.push("gone");
    }
  })();
  return Object.assign(made, { log });
}

test("an async iterable as the argument is sent item by item, as the server gives credit", inWorld(async (world) => {
  const socket = await world.socket();
  const items = source(1, { at: new Date(7) }, undefined, null);
  const call = world.api.sum(items);
  await settle();
  assert.deepEqual(socket.take(), ["c 1 sum;t=10000;i"]);
  assert.deepEqual(items.log, []); // not asked before there is credit
  socket.send("g 1 2");
  await settle();
  assert.deepEqual(socket.take(), ["n 1 1", 'n 1 {"at<!D>":7}']);
  socket.send("g 1 1");
  await settle();
  assert.deepEqual(socket.take(), ["n 1"]);
  socket.send("g 1 9");
  await settle();
  assert.deepEqual(socket.take(), ["n 1 null", "z 1"]);
  assert.deepEqual(items.log.slice(-2), ["end", "gone"]);
  socket.send("g 1 4", "r 1 42");
  assert.equal(await call, 42);
}));

test("both ways at once", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const stream = world.api.double(source(1, 2), { window: 8 });
  const loop = (async () => {
    for await (const item of stream) seen.push(item);
  })();
  await settle();
  assert.deepEqual(socket.take(), ["c 1 double;i;g=8"]);
  socket.send("g 1 1");
  await settle();
  assert.deepEqual(socket.take(), ["n 1 1"]);
  socket.send("n 1 2", "g 1 2");
  await settle();
  assert.deepEqual(socket.take(), ["n 1 2", "z 1"]);
  socket.send("n 1 4", "z 1");
  await loop;
  assert.deepEqual(seen, [2, 4]);
}));

test("the stream of one call goes into another", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.sum(world.api.count(3));
  await settle();
  assert.deepEqual(socket.take(), ["c 3 sum;t=10000;i", "c 1 count;g=64 3"].sort());
  socket.send("g 3 8", "n 1 1", "n 1 2", "z 1");
  await settle();
  assert.deepEqual(socket.take(), ["n 3 1", "n 3 2", "z 3"]);
  socket.send("r 3 3");
  assert.equal(await call, 3);
}));

test("a source that throws cancels, and its error is the cause", inWorld(async (world) => {
  const socket = await world.socket();
  const error = new Error("mine");
  const call = world.api.sum(source(1, error));
  call.catch(() => {});
  await settle();
  socket.send("g 1 8");
  await assert.rejects(call, (failure) => failure.code === "cancelled" && failure.cause === error);
  await settle();
  assert.deepEqual(socket.take(), ["c 1 sum;t=10000;i", "n 1 1", "x 1"]);
}));

test("an item that cannot be sent cancels, and the source is told", inWorld(async (world) => {
  const socket = await world.socket();
  const items = source(10n, 2);
  const call = world.api.sum(items).catch((error) => error);
  await settle();
  socket.send("g 1 8");
  assert.equal((await call).code, "cancelled");
  await settle();
  assert.deepEqual(items.log, [10n, "gone"]);
  assert.deepEqual(socket.take(), ["c 1 sum;t=10000;i", "x 1"]);
}));

test("when the call ends early, by the server, by its limit or by a gap, the source is told", async () => {
  const ends = {
    answer: (world, socket) => socket.send("r 1 1"),
    failure: (world, socket) => socket.send('e 1 {"code":"failed"}'),
    limit: (world) => world.clock.pass(10_000),
    close: (world) => world.api.$.close(),
    gap: async (world, socket) => {
      socket.cut();
      await world.clock.pass(500);
      await world.socket({ gap: "unknown" });
    },
  };
  for (const [name, end] of Object.entries(ends)) {
    await inWorld(async (world) => {
      const socket = await world.socket();
      const items = source(1, 2, 3, 4);
      world.api.sum(items).catch(() => {});
      await settle();
      socket.send("g 1 2");
      await settle();
      assert.deepEqual(items.log, [1, 2], name);
      await end(world, socket);
      await settle();
      assert.deepEqual(items.log, [1, 2, "gone"], name);
      assert.deepEqual(socket.take().filter((line) => /^[nz]/.test(line)), ["n 1 1", "n 1 2"], name);
    })();
  }
});

test("a source whose end fails, or that has none, harms nobody", inWorld(async (world) => {
  const socket = await world.socket();
  const next = () => new Promise(() => {});
  const broken = { next, return: () => { throw new Error("mine"); }, [Symbol.asyncIterator]() { return this; } };
  const endless = { next, [Symbol.asyncIterator]() { return this; } };
  const calls = [world.api.a(broken), world.api.b(endless)];
  await settle();
  socket.send("g 1 1", "g 3 1", "r 1 1", "r 3 2");
  assert.deepEqual(await Promise.all(calls), [1, 2]);
}));

test("a stream waits for room instead of filling what waits for the server", inWorld(async (world) => {
  const socket = await world.socket();
  const items = source(...Array(5).fill("x".repeat(300_000)));
  const call = outcome(world.api.sum(items));
  await settle();
  socket.send("g 1 64");
  await settle();
  assert.equal(socket.take().length, 3); // the call and two items, which is more than half of 1 MiB
  assert.equal(await outcome(world.api.other("y".repeat(300_000))), "pending"); // there is room for others
  socket.send("a 4");
  await settle();
  assert.equal(socket.take().filter((line) => line[0] === "n").length, 2);
  assert.equal(await call, "pending");
}));

test("an item that is too long beside what waits goes when there is room; one that never fits fails", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.sum(source("x".repeat(700_000), "y".repeat(1_100_000))).catch((error) => error);
  const other = outcome(world.api.other("z".repeat(400_000)));
  await settle();
  socket.send("g 1 2");
  await settle();
  assert.deepEqual(socket.take().map((line) => line.slice(0, 5)), ["c 1 s", "c 3 o"]);
  socket.send("a 2");
  await settle();
  assert.deepEqual(socket.take().map((line) => line.slice(0, 5)), ['n 1 "']);
  socket.send("a 3");
  assert.equal((await call).cause.code, "overflow");
  assert.equal(await other, "pending");
}));

test("a stream goes on when what took its room is taken back", inWorld(async (world) => {
  const first = await world.socket();
  const abort = new AbortController();
  world.api.sum(source("x")).catch(() => {});
  await settle();
  first.send("g 1 1", "a 1");
  first.cut();
  world.api.other("z".repeat(700_000), { signal: abort.signal }).catch(() => {});
  await settle();
  await world.clock.pass(500);
  const { socket } = world.network;
  abort.abort();
  await settle();
  socket.take();
  socket.send('w {"id":"public","resume":"token","recovered":0,"got":1,"keeper":"k"}');
  await settle();
  assert.deepEqual(socket.take(), ['n 1 "x"']);
}));

test("items are no argument when they are only iterable", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.a([1, 2]).catch(() => {});
  world.api.a(new Set([1])).catch(() => {});
  await settle();
  assert.deepEqual(socket.take(), ["c 1 a;t=10000 [1,2]", 'c 3 a;t=10000 {"<!S>":[1]}']);
}));

test("a source that has ended is left alone", inWorld(async (world) => {
  const socket = await world.socket();
  let told = 0;
  const over = {
    next: async () => ({ done: true }),
    return: async () => told++,
    [Symbol.asyncIterator]() { return this; },
  };
  const call = world.api.a(over);
  await settle();
  socket.send("g 1 1");
  await settle();
  socket.send("r 1 5");
  assert.equal(await call, 5);
  await settle();
  assert.deepEqual([told, socket.take()], [0, ["c 1 a;t=10000;i", "z 1"]]);
}));

test("bytes are items like all others", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.a(source(Uint8Array.of(1, 10, 2))).catch(() => {});
  await settle();
  socket.send("g 1 1");
  await settle();
  assert.equal(socket.take().at(-1), "n 1 =3");
  assert.deepEqual([...socket.octets], [1, 10, 2]);
}));
