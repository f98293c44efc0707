import assert from "node:assert/strict";
import { test } from "node:test";
import { helloOf, inWorld, outcome, settle, welcomeLine } from "../fake/world.mjs";

test("a hello names the client and what the application's auth gives, each time anew", async () => {
  let count = 0;
  await inWorld(async (world) => {
    const socket = await world.socket();
    assert.match(socket.hello.client, /^ape-js\/\d/);
    assert.deepEqual([socket.hello.auth, socket.hello.resume], [{ key: 1 }, undefined]);
    socket.cut();
    await world.clock.pass(500);
    const again = await world.socket({ recovered: 0, got: 0 });
    assert.deepEqual(again.hello.auth, { key: 2 });
  }, { auth: async () => ({ key: ++count }) })();
});

test("an auth function that fails is tried again", async () => {
  let count = 0;
  const auth = () => {
    if (!count++) throw new Error("no network");
    return "key";
  };
  await inWorld(async (world) => {
    await world.clock.pass(500);
    const get = await world.stream(); // the server was reachable, so streaming came next
    assert.equal(get.hello.auth, "key");
    assert.equal(world.said.length, 1);
  }, { auth })();
});

test("resume: nothing counted goes before the welcome, then exactly what the server lacks", inWorld(async (world) => {
  const first = await world.socket({ resume: "one" });
  const calls = [1, 2, 3].map((n) => world.api.a(n));
  await settle();
  first.send("m x", "m y", "r 1 1", "m z");
  first.cut();
  calls.push(world.api.a(4));
  await world.clock.pass(500);
  const second = world.network.socket;
  const { resume, seen, try: tried } = helloOf(second);
  assert.deepEqual([resume, seen], ["one", 4]);
  assert.ok(tried > 1);
  await settle();
  assert.deepEqual(second.received, []);
  second.send(welcomeLine({ resume: "two", recovered: 2, got: 2 }), "r 3 2", "r 5 3");
  await settle();
  assert.deepEqual(second.received, ["c 5 a;t=10000 3", "c 7 a;t=10000 4"]);
  second.send("r 7 4");
  assert.deepEqual(await Promise.all(calls), [1, 2, 3, 4]);
  assert.deepEqual(world.states, ["connecting", "connected", "disconnected", "connecting", "connected"]);
  assert.deepEqual(world.infos.at(-1), { recovered: 2 });

  second.cut();
  await world.clock.pass(1_000);
  const hello = helloOf(world.network.socket);
  assert.deepEqual([hello.resume, hello.seen], ["two", 7]);
  assert.ok(hello.try > tried);
}));

test("after a resume counting goes on where it stopped", inWorld(async (world) => {
  const first = await world.socket();
  const seen = [];
  world.api.on("n", (n) => seen.push(n));
  first.send("m n 1", "m n 2");
  first.cut();
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 1, got: 0 });
  assert.equal(second.hello.seen, 2);
  second.send("m n 3");
  await settle();
  assert.deepEqual(seen, [1, 2, 3]);
  second.cut();
  await world.clock.pass(1_000);
  assert.equal(helloOf(world.network.socket).seen, 3);
}));

test("a counted line before the welcome begins a new session", inWorld(async (world) => {
  const first = await world.socket();
  world.api.on("n", () => assert.fail("heard"));
  first.cut();
  await world.clock.pass(500);
  world.network.socket.send("m n 1");
  await world.clock.pass(1_000);
  assert.equal(world.network.sockets.length, 3);
  assert.equal(helloOf(world.network.socket).resume, undefined);
}));

test("gap: what was written and not answered is lost, what was not goes to the new session, subscriptions first", inWorld(async (world) => {
  const first = await world.socket();
  world.api.news(() => {});
  world.api.old(() => {})();
  const lost = world.api.a("written").catch((error) => error);
  await settle();
  first.send("r 1", "m x");
  first.cut();
  const kept = world.api.a("waiting");
  world.api.$.send("e", 1);
  await world.clock.pass(500);
  const second = await world.socket({ id: "new", gap: "unknown" });
  assert.equal(second.hello.resume, "token");
  assert.deepEqual(second.take(), ["s 9 news;l", 'c 7 a;t=10000 "waiting"', "m e 1"]);
  const error = await lost;
  assert.deepEqual([error.code, error.path], ["lost", "a"]);
  second.send("r 7 true");
  assert.equal(await kept, true);
  assert.deepEqual(world.infos.at(-1), { gap: "unknown", lost: 1, lostCalls: [{ path: "a" }] });
  assert.equal(world.api.$.id, "new");

  // the numbers begin anew, in both directions
  second.send("m x");
  second.cut();
  await world.clock.pass(500);
  assert.equal(helloOf(world.network.socket).seen, 2);
}));

test("a gap after a move that kept the state is told too", inWorld(async (world) => {
  const first = await world.socket();
  first.send('q {"code":"restart","then":"resume","within":1000}');
  await world.clock.pass(1_000);
  await world.socket({ gap: "unknown" });
  assert.deepEqual(world.states, ["connecting", "connected", "connected"]);
  assert.deepEqual(world.infos.at(-1), { gap: "unknown", lost: 0, lostCalls: [] });
}));

test("a welcome that contradicts what was sent or acknowledged begins a new session", async () => {
  for (const got of [0, 9]) {
    await inWorld(async (world) => {
      const first = await world.socket();
      world.api.a().catch(() => {});
      world.api.a().catch(() => {});
      await settle();
      first.send("a 1");
      first.cut();
      await world.clock.pass(500);
      await world.socket({ recovered: 0, got });
      await world.clock.pass(2_000);
      assert.equal(helloOf(world.network.socket).resume, undefined, `got ${got}`);
    })();
  }
});

test("acknowledgements: at once for p, after 64 lines, after 64 KiB, after 5 s, else with what goes anyway", inWorld(async (world) => {
  const socket = await world.socket();
  socket.send("m x", "p");
  await settle();
  assert.deepEqual(socket.received.splice(0), ["a 1"]);
  socket.send("p");
  await settle();
  assert.deepEqual(socket.received.splice(0), ["a 1"]);

  socket.send(...Array(63).fill("m x"));
  await settle();
  assert.deepEqual(socket.received, []);
  socket.send("m x");
  await settle();
  assert.deepEqual(socket.received.splice(0), ["a 65"]);

  socket.send("m x " + JSON.stringify("y".repeat(70_000)));
  await settle();
  assert.deepEqual(socket.received.splice(0), ["a 66"]);

  socket.send("m x");
  await world.clock.pass(4_999);
  assert.deepEqual(socket.received, []);
  await world.clock.pass(1);
  assert.deepEqual(socket.received.splice(0), ["a 67"]);
  await world.clock.pass(10_000);
  assert.deepEqual(socket.received, []);

  socket.send("m x");
  world.api.a().catch(() => {});
  await settle();
  assert.deepEqual(socket.received, ["a 68", "c 1 a;t=10000"]);
}));

test("what the server acknowledged makes room and is not sent again", inWorld(async (world) => {
  const first = await world.socket();
  const big = "x".repeat(700_000);
  world.api.a(big).catch(() => {});
  await settle();
  assert.deepEqual((await outcome(world.api.a(big))).error.code, "overflow");
  first.send("a 1");
  assert.equal(await outcome(world.api.a(1)), "pending");
  first.cut();
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 0, got: 1 });
  assert.deepEqual(second.take(), ["c 3 a;t=10000 1"]);
}));

test("an acknowledgement of what was never sent begins a new session", inWorld(async (world) => {
  const first = await world.socket();
  first.send("a 5");
  assert.equal(first.closed, 4000);
  await world.clock.pass(500);
  assert.equal(helloOf(world.network.socket).resume, undefined);
}));
