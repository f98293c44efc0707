import assert from "node:assert/strict";
import { test } from "node:test";
import { ApeError } from "../dist/ape.mjs";
import { inWorld, outcome, settle } from "../fake/world.mjs";

/** The error of a call that is awaited, and nothing else. */
async function failed(call) {
  try {
    await call;
  } catch (error) {
    return error;
  }
}

test("a call is written with its path, its deadline and its data, and resolves with the answer", inWorld(async (world) => {
  const socket = await world.socket();
  const answer = world.api.users.list({ limit: 3 });
  await settle();
  assert.deepEqual(socket.take(), ['c 1 users/list;t=10000 {"limit":3}']);
  socket.send('r 1 [{"born<!D>":7}]');
  assert.deepEqual(await answer, [{ born: new Date(7) }]);
}));

test("no value is not null, in either direction", inWorld(async (world) => {
  const socket = await world.socket();
  const calls = [world.api.echo(), world.api.echo(null), world.api.echo(0)];
  await settle();
  assert.deepEqual(socket.take(), ["c 1 echo;t=10000", "c 3 echo;t=10000 null", "c 5 echo;t=10000 0"]);
  socket.send("r 1", "r 3 null", "z 5");
  assert.deepEqual(await Promise.all(calls), [undefined, null, undefined]);
}));

test("names are escaped as the grammar wants it, and lose one leading slash", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.$.call("/say hi; 100%\u007f é", 1).catch(() => {});
  world.api.a("/b", 2).catch(() => {});
  world.api.a("/b", 3, { timeout: 0 }).catch(() => {});
  await settle();
  assert.deepEqual(socket.take(), ["c 1 say%20hi%3B%20100%25%7F%20é;t=10000 1", "c 3 a/b;t=10000 2", "c 5 a/b 3"]);
}));

test("text that begins with a slash is data when only options follow", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.say("/shrug", { timeout: 5 }).catch(() => {});
  world.api.say("/shrug", { text: "x" }).catch(() => {});
  world.api.say("/shrug", {}).catch(() => {});
  await settle();
  assert.deepEqual(socket.take(), ['c 1 say;t=5 "/shrug"', 'c 3 say/shrug;t=10000 {"text":"x"}', "c 5 say/shrug;t=10000 {}"]);
}));

test("a failure is an ApeError with code, message, path and data", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.users.get(9);
  await settle();
  socket.send('e 1 {"code":"not_found","message":"no user 9","data":{"at<!D>":7}}');
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ApeError && error instanceof Error);
    const { name, code, message, path, data } = error;
    assert.deepEqual({ name, code, message, path, data }, {
      ...{ name: "ApeError", code: "not_found", message: "no user 9" },
      ...{ path: "users/get", data: { at: new Date(7) } },
    });
    return true;
  });
}));

test("a call times out under await, once, and tells the server", inWorld(async (world) => {
  const socket = await world.socket();
  const call = outcome(world.api.slow());
  await settle();
  const late = failed(world.api.slow(1, { timeout: 50 }));
  await world.clock.pass(50);
  assert.equal((await late).code, "deadline");
  assert.deepEqual(socket.take(), ["c 1 slow;t=10000", "c 3 slow;t=50 1", "x 3"]);
  assert.equal(await call, "pending");
  socket.send('e 3 {"code":"cancelled"}', "r 1 1"); // what comes after the x crossed with it
}));

test("a call without an answer fails after 10 s, also where it is only awaited", inWorld(async (world) => {
  const socket = await world.socket();
  const late = failed(world.api.slow());
  await world.clock.pass(9_999);
  assert.deepEqual(socket.take(), ["c 1 slow;t=10000"]);
  await world.clock.pass(1);
  assert.equal((await late).code, "deadline");
  assert.deepEqual(socket.take(), ["x 1"]);
}));

test("a call without a limit waits, and leaves no timer", inWorld(async (world) => {
  const socket = await world.socket();
  const { pending } = world.clock;
  const calls = [0, Infinity].map((timeout) => world.api.slow(null, { timeout }));
  await settle();
  assert.equal(world.clock.pending, pending);
  assert.deepEqual(socket.take(), ["c 1 slow null", "c 3 slow null"]);
  await world.clock.pass(40_000);
  socket.send("r 1 1", "r 3 2");
  assert.deepEqual(await Promise.all(calls), [1, 2]);
}));

test("a signal cancels: with x when the call was written, without a line when it was not", inWorld(async (world) => {
  const before = new AbortController();
  const unsent = world.api.slow(1, { signal: before.signal }).catch((error) => error);
  before.abort("changed my mind");
  const error = await unsent;
  assert.deepEqual([error.code, error.cause], ["cancelled", "changed my mind"]);

  const socket = await world.socket();
  const during = new AbortController();
  const sent = world.api.slow(2, { signal: during.signal }).catch((error) => error);
  await settle();
  during.abort();
  assert.equal((await sent).code, "cancelled");
  await settle();
  assert.deepEqual(socket.take(), ["c 3 slow;t=10000 2", "x 3"]);

  const aborted = world.api.slow(3, { signal: AbortSignal.abort() }).catch((error) => error);
  assert.equal((await aborted).code, "cancelled");
  assert.deepEqual(socket.take(), []);
}));

test("calls made before connecting are sent in order, those that timed out are not", inWorld(async (world) => {
  world.network.socketsDo = "hang";
  world.network.getsDo = "hang";
  const first = world.api.first(1, { timeout: 100 }).catch((error) => error.code);
  const second = world.api.second(2);
  await world.clock.pass(1_000);
  assert.equal(await first, "deadline");
  world.network.sockets[0].readyState = 1;
  world.network.sockets[0].onopen();
  const socket = await world.socket();
  assert.deepEqual(socket.take(), ["c 3 second;t=10000 2"]);
  socket.send("r 3 true");
  assert.equal(await second, true);
}));

test("calls made during a reconnect are sent in order, those that timed out are not", inWorld(async (world) => {
  (await world.socket()).cut();
  const first = failed(world.api.first(1, { timeout: 100 }));
  const second = world.api.second(2);
  await world.clock.pass(500);
  assert.equal((await first).code, "deadline");
  const socket = await world.socket({ recovered: 0, got: 0 });
  assert.deepEqual(socket.take(), ["c 3 second;t=10000 2"]);
  socket.send("r 3 true");
  assert.equal(await second, true);
}));

test("no more than 1 MiB waits, and a call taken back makes room", inWorld(async (world) => {
  world.network.socketsDo = "hang";
  const half = "x".repeat(600_000);
  const abort = new AbortController();
  const first = outcome(world.api.a(half, { signal: abort.signal }));
  const second = await world.api.a(half).catch((error) => error);
  assert.deepEqual([second.code, second.path], ["overflow", "a"]);
  abort.abort();
  await first;
  assert.equal(await outcome(world.api.a(half)), "pending");
  assert.throws(() => world.api.$.send("e", half), { code: "overflow" });
}));

test("what cannot be sent is told to that call only", inWorld(async (world) => {
  const socket = await world.socket();
  await assert.rejects(world.api.a(10n), { code: "invalid", path: "a" });
  await assert.rejects(world.api.a({ file: new Blob(["x"]) }), { code: "invalid", message: /arrayBuffer/ });
  await assert.rejects(world.api.$.call(""), { code: "malformed" });
  await settle();
  assert.deepEqual(socket.take(), []);
}));

test("an answer that cannot be read fails its call with invalid", inWorld(async (world) => {
  const socket = await world.socket();
  const calls = [world.api.a(), world.api.b(), world.api.c()].map((call) => call.catch((error) => error.code));
  await settle();
  socket.send('r 1 {"x<!P>":["nowhere"]}', "r 3 {", "r 5 =%%%");
  assert.deepEqual(await Promise.all(calls), ["invalid", "invalid", "invalid"]);
}));

test("bytes travel as octets of a binary message", inWorld(async (world) => {
  const socket = await world.socket();
  const bytes = Uint8Array.of(9, 10, 10, 0, 255).subarray(1);
  const call = world.api.size(bytes);
  world.api.next().catch(() => {});
  bytes.fill(1); // the page may use its buffer again
  await settle();
  assert.deepEqual(socket.take(), ["c 1 size;t=10000 =4", "c 3 next;t=10000"]);
  assert.deepEqual([...socket.octets], [10, 10, 0, 255]);
  const text = new TextEncoder();
  socket.sendRaw(Uint8Array.of(...text.encode("m =5\nr 1 =3\n"), 0, 10, 2, ...text.encode("m after\n")).buffer);
  const answer = await call;
  assert.ok(answer instanceof Uint8Array);
  assert.deepEqual([...answer], [0, 10, 2]);
}));

test("events are seen in the order in which the server sent them, also beside answers", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.on("tick", (n) => seen.push("tick " + n));
  const caller = (async () => seen.push("answer " + (await world.api.a())))();
  await settle();
  socket.send("m tick 1", "r 1 2", "m tick 3");
  await caller;
  await settle();
  assert.deepEqual(seen, ["tick 1", "answer 2", "tick 3"]);
}));

test("on hears one event, or all of them, until it is switched off", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const off = world.api.on("/chat", (data) => seen.push(data));
  world.api.setOnReceiver("chat", () => seen.push("alias"));
  world.api.on(({ type, data }) => seen.push([type, data]));
  world.api.on("chat", () => {
    throw new Error("a listener's own");
  });
  socket.send('m chat {"t":1}', "m other");
  await settle();
  assert.deepEqual(seen, [{ t: 1 }, "alias", ["chat", { t: 1 }], ["other", undefined]]);
  off();
  off();
  seen.length = 0;
  socket.send("m chat 2");
  await settle();
  assert.deepEqual(seen, ["alias", ["chat", 2]]);
  assert.equal(world.said.length, 2); // what the listener threw
}));

test("send writes an event; nobody answers it", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.$.send("typing", { on: true });
  world.api.$.send("seen");
  await settle();
  assert.deepEqual(socket.take(), ['m typing {"on":true}', "m seen"]);
}));

test("lines of one turn share a message, and long ones go alone", inWorld(async (world) => {
  const socket = await world.socket();
  socket.messages = 0;
  for (let i = 0; i < 10; i++) world.api.a(i).catch(() => {});
  await settle();
  assert.equal(socket.messages, 1);
  for (let i = 0; i < 4; i++) world.api.a("x".repeat(9_000)).catch(() => {});
  await settle();
  assert.equal(socket.messages, 5);
}));

test("what does not fit is survived, answered as the protocol says, and counted", inWorld(async (world) => {
  const socket = await world.socket();
  socket.send("c 2 confirm 1", "y 13 whatever", "s 4 news", "n 9 1", "g 9 5", "x 2", "nonsense", "m %zz", "X-Trace 1", "p");
  await settle();
  assert.deepEqual(socket.received, [
    "a 8",
    'e 2 {"code":"not_found"}',
    'e 13 {"code":"unsupported"}',
    'e 4 {"code":"unsupported"}',
    'e 0 {"code":"unsupported"}',
    'e 0 {"code":"malformed"}',
  ]);
}));
