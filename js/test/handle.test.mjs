import assert from "node:assert/strict";
import { test } from "node:test";
import { ApeError } from "../dist/ape.mjs";
import { inWorld, settle } from "../fake/world.mjs";

/** A handler whose call stays open until the test ends it. */
function held() {
  const handler = (data, { signal, path }) => {
    handler.calls.push({ data, signal, path });
    return new Promise((resolve, reject) => Object.assign(handler, { resolve, reject }));
  };
  handler.calls = [];
  return handler;
}

test("the server calls a function by its path, and gets its answer", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.$.handle("/ask/confirm", (data, { path, signal }) => {
    seen.push([data, path, signal.aborted]);
    return data.question === "sure?";
  });
  world.api.$.handle("later", async () => new Date(7));
  world.api.$.handle("nothing", () => {});
  world.api.$.handle("bytes", (data) => data);
  await settle();
  socket.send('c 2 ask/confirm {"question":"sure?"}', "c 4 later", "c 6 nothing null", "c 8 bytes =AAEC");
  await settle();
  assert.deepEqual(socket.take(), ["r 2 true", "r 6", "r 8 =3", 'r 4 {"<!D>":7}']);
  assert.deepEqual([...socket.octets], [0, 1, 2]);
  assert.deepEqual(seen, [[{ question: "sure?" }, "ask/confirm", false]]);
}));

test("calls start in the order in which they came, and beside events", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.$.handle("a", (n) => void seen.push(n));
  world.api.on("m", (n) => seen.push(n));
  await settle();
  socket.send("c 2 a 1", "c 4 a 2", "m m 3", "c 6 a 4");
  await settle();
  assert.deepEqual(seen.filter((n) => n !== 3), [1, 2, 4]);
  assert.equal(seen.length, 4);
}));

test("calls that come while the code that answers them is loaded are answered in order", async () => {
  await inWorld(async (world) => {
    const socket = await world.socket();
    const seen = [];
    world.api.$.handle("a", (n) => void seen.push(n));
    const wait = held();
    world.api.$.handle("wait", wait);
    socket.send("c 2 a 1", "c 4 wait", "x 4", "c 6 a 2");
    await settle();
    assert.deepEqual(seen, [1, 2]);
    assert.deepEqual(socket.take(), ['e 4 {"code":"cancelled"}', "r 2", "r 6"]);
  })();
});

test("without a handler, or with one that was switched off: not_found", inWorld(async (world) => {
  const socket = await world.socket();
  socket.send("c 2 a");
  await settle();
  const first = world.api.$.handle("a", () => 1);
  const second = world.api.$.handle("a", () => 2);
  first(); // whose place was taken
  await settle();
  socket.send("c 4 a", "c 6 b");
  await settle();
  second();
  socket.send("c 8 a");
  await settle();
  assert.deepEqual(socket.take(), ['e 2 {"code":"not_found"}', 'e 6 {"code":"not_found"}', "r 4 2", 'e 8 {"code":"not_found"}']);
}));

test("an ApeError is the server's to know; all else is internal there, and reported here", inWorld(async (world) => {
  const socket = await world.socket();
  const mine = new Error("a secret");
  const throws = {
    told: () => { throw new ApeError({ code: "denied", message: "not today", data: { at: new Date(7) } }); },
    later: async () => { throw new ApeError({ code: "later" }); },
    secret: () => { throw mine; },
    text: async () => { throw "a secret too"; },
    unsayable: () => 10n,
    unsaid: () => { throw new ApeError({ code: "bad", data: 10n }); },
  };
  for (const path in throws) world.api.$.handle(path, throws[path]);
  await settle();
  socket.send(...Object.keys(throws).map((path, i) => `c ${2 * i + 2} ${path}`));
  await settle();
  assert.deepEqual(socket.take().sort(), [
    'e 10 {"code":"internal"}',
    'e 12 {"code":"internal"}',
    'e 2 {"code":"denied","message":"not today","data":{"at<!D>":7}}',
    'e 4 {"code":"later","message":"later"}',
    'e 6 {"code":"internal"}',
    'e 8 {"code":"internal"}',
  ]);
  assert.equal(world.said.length, 4);
  assert.deepEqual([world.said[0], world.said.some(([said]) => said === "a secret too")], [[mine], true]);
}));

test("x aborts the signal and is answered at once; what the handler says then is dropped", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  await settle();
  socket.send("c 2 wait 1");
  await settle();
  const [{ data, signal }] = wait.calls;
  assert.deepEqual([data, signal.aborted], [1, false]);
  socket.send("x 2", "x 2", "g 2 4", "n 2 1", "z 2");
  await settle();
  assert.deepEqual([signal.aborted, signal.reason.code], [true, "cancelled"]);
  wait.reject(new Error("too late to be reported"));
  await settle();
  assert.deepEqual(socket.take(), ['e 2 {"code":"cancelled"}']);
  assert.deepEqual(world.said, []);
}));

test("at its deadline a call is answered whatever the handler does; an answer in time stops the clock", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  world.api.$.handle("quick", () => 1);
  await settle();
  const { pending } = world.clock;
  socket.send("c 2 wait;t=30", "c 4 quick;t=30", "c 6 wait;t=99999999999");
  await world.clock.pass(29);
  assert.deepEqual(socket.take(), ["r 4 1"]);
  await world.clock.pass(1);
  assert.deepEqual(socket.take(), ['e 2 {"code":"deadline"}']);
  assert.equal(wait.calls[0].signal.reason.code, "deadline");
  assert.equal(wait.calls[1].signal.aborted, false);
  wait.resolve(1);
  await settle();
  assert.deepEqual(socket.take(), ["r 6 1"]);
  assert.ok(world.clock.pending <= pending + 1); // an acknowledgement may wait
}));

test("an async iterable is a stream, sent by credit; it may return a value", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.$.handle("count", async function* (n) {
    for (let i = 1; i <= n; i++) yield i;
    if (n > 2) return "sum";
  });
  await settle();
  socket.send("c 2 count;g=1 2", "c 4 count;g=0 1");
  await settle();
  assert.deepEqual(socket.take(), ["n 2 1"]);
  socket.send("g 2 5", "g 4 1");
  await settle();
  assert.deepEqual(socket.take().sort(), ["n 2 2", "n 4 1", "z 2"]);
  socket.send("g 4 1", "c 6 count;g=9 3");
  await settle();
  assert.deepEqual(socket.take().sort(), ["n 6 1", "n 6 2", "n 6 3", 'r 6 "sum"', "z 4"].sort());
}));

test("a stream for a caller that takes none is invalid; a value for one that takes a stream is a value", inWorld(async (world) => {
  const socket = await world.socket();
  let gone = 0;
  const stream = { next: () => assert.fail("asked"), return: async () => gone++, [Symbol.asyncIterator]() { return this; } };
  world.api.$.handle("stream", async () => stream);
  world.api.$.handle("value", () => 5);
  await settle();
  socket.send("c 2 stream", "c 4 value;g=4");
  await settle();
  const lines = socket.take();
  assert.equal(lines.length, 2);
  assert.match(lines.find((line) => line.startsWith("e")), /^e 2 {"code":"invalid","message":"/);
  assert.ok(lines.includes("r 4 5"));
  assert.equal(gone, 1);
}));

test("a stream that fails, or is cancelled, ends once, and its source is told", inWorld(async (world) => {
  const socket = await world.socket();
  const log = [];
  world.api.$.handle("fails", async function* () {
    yield 1;
    throw new ApeError({ code: "failed" });
  });
  world.api.$.handle("endless", async function* () {
    try {
      for (;;) yield 1;
    } finally {
      log.push("gone");
    }
  });
  await settle();
  socket.send("c 2 fails;g=9", "c 4 endless;g=2");
  await settle();
  assert.deepEqual(socket.take().sort(), ['e 2 {"code":"failed","message":"failed"}', "n 2 1", "n 4 1", "n 4 1"]);
  socket.send("x 4", "g 4 9");
  await settle();
  assert.deepEqual(socket.take(), ['e 4 {"code":"cancelled"}']);
  assert.deepEqual(log, ["gone"]);
}));

test("cancelled before the handler gives its stream: the source is told", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  let gone = 0;
  world.api.$.handle("wait", wait);
  await settle();
  socket.send("c 2 wait;g=4");
  await settle();
  socket.send("x 2");
  await settle();
  wait.resolve({ next: () => assert.fail("asked"), return: async () => gone++, [Symbol.asyncIterator]() { return this; } });
  await settle();
  assert.equal(gone, 1);
  assert.deepEqual(socket.take(), ['e 2 {"code":"cancelled"}']);
}));

test("items of the server are an async iterable; credit begins with the loop", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.$.handle("sum", async (items) => {
    let sum = 0;
    for await (const item of items) {
      seen.push(item);
      sum += item;
    }
    return sum;
  });
  world.api.$.handle("never", async () => 1);
  await settle();
  socket.send("c 2 sum;i", "c 4 never;i");
  await settle();
  assert.deepEqual(socket.take().sort(), ["g 2 64", "r 4 1"]);
  socket.send(...Array(32).fill("n 2 1"));
  await settle();
  assert.deepEqual(socket.take(), ["g 2 32"]);
  socket.send("n 2 10", "z 2");
  await settle();
  assert.deepEqual([seen.length, socket.take()], [33, ["r 2 42"]]);
}));

test("both ways at once", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.$.handle("double", async function* (items) {
    for await (const item of items) yield 2 * item;
  });
  await settle();
  socket.send("c 2 double;g=8;i");
  await settle();
  assert.deepEqual(socket.take(), ["g 2 64"]);
  socket.send("n 2 4", "z 2");
  await settle();
  assert.deepEqual(socket.take(), ["n 2 8", "z 2"]);
}));

test("an item without credit, or one that cannot be read, ends the call; so does data", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  const ends = [];
  world.api.$.handle("wait", wait);
  world.api.$.handle("loop", async (items) => {
    try {
      for await (const _ of items);
    } catch (error) {
      ends.push(error.code);
      throw error;
    }
  });
  await settle();
  socket.send("c 2 wait;i", "c 4 loop;i", "c 6 wait", "c 8 wait {");
  await settle();
  assert.deepEqual(socket.take().sort(), ['e 8 {"code":"invalid","message":"what came cannot be read"}', "g 4 64"]);
  socket.send("n 2 1", "n 4 1", "n 4 {", "n 6 1");
  await settle();
  assert.deepEqual(socket.take(), [
    'e 2 {"code":"credit"}',
    'e 4 {"code":"invalid","message":"what came cannot be read"}',
    'e 6 {"code":"credit"}',
  ]);
  assert.deepEqual(ends, ["invalid"]);
  assert.ok(wait.calls.every(({ signal }) => signal.aborted));
}));

test("ids of the wrong parity, in use or unreadable, and params that do not fit", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  world.api.own().catch(() => {});
  await settle();
  socket.take();
  socket.send("c 3 wait", "c 0 wait", "c 7x wait", "c 2 wait", "c 2 wait", "c 1 wait");
  socket.send("c 4 wait;Zone=3", "c 6 wait;t=x", "c 8 wait;g", "c 10 wait;t=1;t=2", "c 12 wait;9=1", "c 14", "c 16 %zz", "c! 19 x");
  socket.send("c 18 wait;zone=3;p=00-x-y;k=1;tz;gx=y", "m x;Zone=3 1");
  await settle();
  const answers = (id, code) => `e ${id} {"code":"${code}"}`;
  assert.deepEqual(socket.take().sort(), [
    ...Array(5).fill(answers(0, "malformed")),
    answers(0, "unsupported"),
    ...[10, 12, 14, 16, 19].map((id) => answers(id, "malformed")),
    answers(4, "unsupported"),
    ...[6, 8].map((id) => answers(id, "malformed")),
  ].sort());
  assert.equal(wait.calls.length, 2);
}));

test("answers to what this client never called, and lines of calls that are over, are ignored", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  await settle();
  socket.send("c 2 wait", "r 2 1", 'e 2 {"code":"failed"}', "r 4", "n 4 1", "z 4", "g 4 1", "x 4", "x 1", "g 1 1", "z 1", "g 2 x");
  await settle();
  wait.resolve(7);
  await settle();
  assert.deepEqual(socket.take(), ["r 2 7"]);
  assert.deepEqual(world.said, []);
}));

test("more than 256 at once are refused as busy, and an answer makes room", inWorld(async (world) => {
  const socket = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  await settle();
  socket.send(...Array.from({ length: 257 }, (_, i) => `c ${2 * i + 2} wait`));
  await settle();
  assert.deepEqual(socket.take(), ['e 514 {"code":"busy"}']);
  socket.send("x 2", "c 516 wait", "c 518 wait");
  await settle();
  assert.deepEqual(socket.take(), ['e 2 {"code":"cancelled"}', 'e 518 {"code":"busy"}']);
}));

test("a call outlasts a lost connection and is answered after the resume", inWorld(async (world) => {
  const first = await world.socket();
  const wait = held();
  world.api.$.handle("wait", wait);
  await settle();
  first.send("c 2 wait");
  await settle();
  first.cut();
  wait.resolve("yes");
  await world.clock.pass(500);
  assert.equal(wait.calls[0].signal.aborted, false);
  const second = await world.socket({ recovered: 0, got: 0 });
  assert.deepEqual(second.take(), ['r 2 "yes"']);
}));

test("a gap aborts the signal, and neither this answer nor one that waits goes into the new session", inWorld(async (world) => {
  const first = await world.socket();
  const wait = held();
  const log = [];
  world.api.$.handle("wait", wait);
  world.api.$.handle("quick", () => "old");
  world.api.$.handle("items", async (items) => {
    try {
      for await (const _ of items);
    } catch (error) {
      log.push(error.code);
    }
  });
  await settle();
  first.send("c 2 wait", "c 4 items;i");
  await settle();
  first.send("c 6 quick");
  first.cut();
  await settle(); // the answer of quick waits
  await world.clock.pass(500);
  const second = await world.socket({ gap: "unknown" });
  assert.deepEqual([wait.calls[0].signal.aborted, wait.calls[0].signal.reason.code, log], [true, "lost", ["lost"]]);
  wait.resolve("late");
  await settle();
  assert.deepEqual(second.take(), []);
  assert.deepEqual([world.infos.at(-1).lost, world.infos.at(-1).lostCalls], [0, []]); // they are not ours
  second.send("c 2 quick"); // its ids begin again
  await settle();
  assert.deepEqual(second.take(), ['r 2 "old"']);
}));

test("what a server calls just before a gap does not run in the new session", inWorld(async (world) => {
  const first = await world.socket();
  let runs = 0;
  world.api.$.handle("a", () => ++runs);
  await settle();
  first.send("c 2 a");
  world.api.$.close();
  await settle();
  assert.equal(runs, 0);
}));

test("handlers stay through close and connect", inWorld(async (world) => {
  await world.socket();
  world.api.$.handle("a", () => 1);
  world.api.$.close();
  world.api.$.connect();
  const socket = await world.socket();
  socket.send("c 2 a");
  await settle();
  assert.deepEqual(socket.take(), ["r 2 1"]);
}));

test("calls over streaming", inWorld(async (world) => {
  const get = await world.stream();
  world.api.$.handle("a", (data) => data);
  await settle();
  get.send("c 2 a =AAEC");
  await settle();
  assert.deepEqual(world.network.post.lines, ["r 2 =AAEC"]);
}, { WebSocket: null }));
