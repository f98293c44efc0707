import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, outcome, settle } from "../fake/world.mjs";

/** Loses the session of a connection and gets a new one. */
async function gap(world, socket, welcome = {}, wait = 500) {
  socket.cut();
  await world.clock.pass(wait);
  return world.socket({ resume: "other", gap: "unknown", ...welcome });
}

test("a key is written as a param, escaped", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.pay(1, { key: "o 17;100%" }).catch(() => {});
  world.api.pay("/x", { key: "k", timeout: 0 }).catch(() => {}); // options, so the text is data
  await settle();
  assert.deepEqual(socket.take(), ["c 1 pay;t=10000;k=o%2017%3B100%25 1", 'c 3 pay;k=k "/x"']);
}));

test("a call with a key is sent again in a gap, with the same id and payload, behind the subscriptions", inWorld(async (world) => {
  const first = await world.socket();
  world.api.news(() => {});
  const calls = [world.api.pay(1, { key: "a" }), world.api.pay(Uint8Array.of(1, 2), { key: "b" })];
  const lost = world.api.pay(3).catch((error) => error.code);
  await settle();
  first.send("r 1", "a 4"); // the server has taken all of them
  const second = await gap(world, first);
  assert.equal(await lost, "lost");
  assert.deepEqual(second.take().sort(), ["c 3 pay;t=10000;k=a 1", "c 5 pay;t=10000;k=b =2", "s 9 news;l"]);
  assert.deepEqual([...second.octets], [1, 2]);
  assert.deepEqual(world.infos.at(-1), { gap: "unknown", lost: 1, lostCalls: [{ path: "pay" }] });
  second.send("r 3 10", "r 5 20");
  assert.deepEqual(await Promise.all(calls), [10, 20]);
}));

test("again and again, counted from the first time it was written", inWorld(async (world) => {
  let socket = await world.socket({ limits: { keys: 2_000 } });
  const call = world.api.pay(1, { key: "a", timeout: 0 }).catch((error) => error.code);
  await settle();
  for (let i = 0; i < 2; i++) {
    await world.clock.pass(100);
    assert.deepEqual(socket.take(), ["c 1 pay;k=a 1"]);
    socket = await gap(world, socket);
  }
  assert.deepEqual(socket.take(), ["c 1 pay;k=a 1"]);
  socket = await gap(world, socket, {}, 1_000);
  assert.equal(await call, "lost");
  assert.deepEqual(world.infos.at(-1).lostCalls, [{ path: "pay", key: "a" }]);
}));

test("what waited before it was written has its whole time", inWorld(async (world) => {
  world.network.socketsDo = world.network.getsDo = "hang";
  const call = outcome(world.api.pay(1, { key: "a", timeout: 0 }));
  await world.clock.pass(4_000);
  world.network.sockets[0].readyState = 1;
  world.network.sockets[0].onopen();
  const socket = await world.socket({ limits: { keys: 1_000 } });
  world.network.socketsDo = "open";
  const second = await gap(world, socket);
  assert.deepEqual(second.take(), ["c 1 pay;k=a 1"]);
  await call;
}));

test("another keeper, or none that remembers: it is lost", async () => {
  for (const welcome of [{ keeper: "other" }, { limits: { keys: 0 } }, { keeper: undefined }]) {
    await inWorld(async (world) => {
      const first = await world.socket();
      const call = world.api.pay(1, { key: "a" }).catch((error) => error.code);
      await settle();
      const second = await gap(world, first, welcome);
      assert.equal(await call, "lost");
      assert.deepEqual(second.take(), []);
    })();
  }
});

test("the keeper is the one under which it was first written, also when the session has moved since", inWorld(async (world) => {
  const first = await world.socket();
  const old = world.api.pay(1, { key: "a" }).catch((error) => error.code);
  await settle();
  first.cut();
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 0, got: 0, keeper: "new" });
  const young = outcome(world.api.pay(2, { key: "b" }));
  await settle();
  assert.deepEqual(second.take(), ["c 1 pay;t=10000;k=a 1", "c 3 pay;t=10000;k=b 2"]);
  second.cut();
  await world.clock.pass(1_000);
  const third = await world.socket({ gap: "unknown", keeper: "new" });
  assert.equal(await old, "lost");
  assert.deepEqual(third.take(), ["c 3 pay;t=10000;k=b 2"]);
  assert.equal(await young, "pending");
}));

test("a call that is sent again keeps its limit and its signal", inWorld(async (world) => {
  const first = await world.socket();
  const abort = new AbortController();
  const limited = world.api.pay(1, { key: "a", timeout: 900 }).catch((error) => error.code);
  const cancelled = world.api.pay(2, { key: "b", signal: abort.signal }).catch((error) => error.code);
  await settle();
  first.cut();
  await world.clock.pass(500);
  await settle();
  abort.abort(); // before it could be written again
  const second = await world.socket({ gap: "unknown" });
  await world.clock.pass(400);
  assert.deepEqual([await limited, await cancelled], ["deadline", "cancelled"]);
  assert.deepEqual(second.take(), ["c 1 pay;t=900;k=a 1", "x 1"]);
}));

test("a call with items is not sent again, key or not", inWorld(async (world) => {
  const first = await world.socket();
  const call = world.api.sum((async function* () {})(), { key: "a" }).catch((error) => error.code);
  await settle();
  const second = await gap(world, first);
  assert.equal(await call, "lost");
  assert.deepEqual(second.take(), []);
}));

test("timeouts of single paths stand beside the usual one; what a call says wins", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.reports.build().catch(() => {});
  world.api.$.call("/reports/build").catch(() => {});
  world.api.reports.build(1, { timeout: 5 }).catch(() => {});
  world.api.forever().catch(() => {});
  world.api.toString().catch(() => {}); // a name that every object has
  await settle();
  assert.deepEqual(socket.take(), [
    ...["c 1 reports/build;t=60000", "c 3 reports/build;t=60000", "c 5 reports/build;t=5 1", "c 7 forever", "c 9 toString;t=700"],
  ]);
}, { timeout: 700, timeouts: { "reports/build": 60_000, forever: 0 } }));
