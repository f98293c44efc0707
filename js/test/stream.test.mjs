import assert from "node:assert/strict";
import { test } from "node:test";
import { ApeError } from "../dist/ape.mjs";
import { inWorld, outcome, settle } from "../fake/world.mjs";

/** Takes what a loop gets; ends with what it threw. */
function loop(stream, most = Infinity) {
  const seen = [];
  seen.done = (async () => {
    try {
      for await (const item of stream) if (seen.push(item) >= most) break;
      seen.end = "end";
    } catch (error) {
      seen.end = error.code ?? error;
    }
  })();
  return seen;
}

test("iterating a call asks for a stream with credit for 64 items and without a limit", inWorld(async (world) => {
  const socket = await world.socket();
  const { pending } = world.clock;
  const seen = loop(world.api.logs.tail({ file: "x" }));
  await settle();
  assert.deepEqual(socket.take(), ['c 1 logs/tail;g=64 {"file":"x"}']);
  assert.equal(world.clock.pending, pending); // no timer
  socket.send('n 1 {"at<!D>":7}', "n 1", "n 1 null", "z 1");
  await seen.done;
  assert.deepEqual([...seen, seen.end], [{ at: new Date(7) }, undefined, null, "end"]);
  await settle();
  assert.deepEqual(socket.take(), []);
}));

test("items, events and answers are seen in the order in which they came", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.on("m", (n) => seen.push(n));
  const answered = world.api.a().then((n) => seen.push(n));
  const streamed = (async () => {
    for await (const n of world.api.b()) seen.push(n);
  })();
  await settle();
  socket.send("n 3 1", "m m 2", "r 1 3", "n 3 4", "z 3");
  await Promise.all([answered, streamed]);
  assert.deepEqual(seen, [1, 2, 3, 4]);
}));

test("$.stream, a path below and a call that waits for the connection are iterated as well", inWorld(async (world) => {
  const streams = [world.api.$.stream("a", 1), world.api.a("/b", 2), world.api.$.call("c", 3)].map((stream) => loop(stream));
  await settle();
  const late = world.api.d(4);
  await settle();
  streams.push(loop(late)); // not written yet, though turns have passed
  const socket = await world.socket();
  assert.deepEqual(socket.take(), ["c 1 a;g=64 1", "c 3 a/b;g=64 2", "c 5 c;g=64 3", "c 7 d;g=64 4"]);
}));

test("a stream has a limit only where one is given", inWorld(async (world) => {
  const socket = await world.socket();
  const streams = [world.api.a(1, { timeout: 50 }), world.api.slow(2), world.api.slow(3, { timeout: 0 })].map((stream) => loop(stream));
  await settle();
  assert.deepEqual(socket.take(), ["c 1 a;t=50;g=64 1", "c 3 slow;t=70;g=64 2", "c 5 slow;g=64 3"]);
  await world.clock.pass(50);
  assert.deepEqual(streams.map((seen) => seen.end), ["deadline", undefined, undefined]);
  await world.clock.pass(20);
  assert.deepEqual(streams.map((seen) => seen.end), ["deadline", "deadline", undefined]);
  assert.deepEqual(socket.take(), ["x 1", "x 3"]);
}, { timeouts: { slow: 70 } }));

test("iterating a call that was written for one answer is a TypeError that says what to do", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.a();
  await settle();
  assert.throws(() => call[Symbol.asyncIterator](), (error) => error instanceof TypeError && /\$\.stream/.test(error.message));
  socket.send("r 1 1");
  assert.equal(await call, 1);
  assert.throws(() => call[Symbol.asyncIterator](), TypeError);
}));

test("awaiting a path that streams: what the server says", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.logs.tail();
  await settle();
  socket.send('e 1 {"code":"invalid","message":"takes a stream"}');
  await assert.rejects(call, { code: "invalid", message: "takes a stream" });
}));

test("credit is given again when half of it is used up, and what waits is never more", inWorld(async (world) => {
  const socket = await world.socket();
  const stream = world.api.$.stream("a", 1, { window: 4 });
  await settle();
  assert.deepEqual(socket.take(), ["c 1 a;g=4 1"]);
  socket.send("n 1 1", "n 1 2", "n 1 3", "n 1 4");
  await settle();
  assert.deepEqual(socket.take(), []); // nobody has taken one
  await stream.next();
  await settle();
  assert.deepEqual(socket.take(), []);
  await stream.next();
  await settle();
  assert.deepEqual(socket.take(), ["g 1 2"]);
  socket.send("n 1 5", "n 1 6", "z 1");
  const rest = loop(stream);
  await rest.done;
  assert.deepEqual([...rest], [3, 4, 5, 6]);
  await settle();
  assert.deepEqual(socket.take().filter((line) => !line.startsWith("g ")), []);
}));

test("an item without credit ends the call with credit, behind the items that had it", inWorld(async (world) => {
  const socket = await world.socket();
  const stream = world.api.$.stream("a", 1, { window: 2 });
  const plain = world.api.b().catch((error) => error.code);
  await settle();
  socket.take();
  socket.send("n 1 1", "n 1 2", "n 1 3", "n 3 1", "n 1 4");
  await settle();
  assert.deepEqual(socket.take(), ["x 1", "x 3"]);
  assert.equal(await plain, "credit");
  const seen = loop(stream);
  await seen.done;
  assert.deepEqual([...seen, seen.end], [1, 2, "credit"]);
}));

test("leaving the loop cancels, once, whatever still comes", inWorld(async (world) => {
  const socket = await world.socket();
  const left = loop(world.api.a(), 1);
  const thrown = (async () => {
    for await (const _ of world.api.b()) throw new Error("mine");
  })();
  await settle();
  socket.take();
  socket.send("n 1 1", "n 1 2", "n 3 1");
  await assert.rejects(thrown, /mine/);
  assert.equal((await left.done, left.end), "end");
  await settle();
  assert.deepEqual(socket.take(), ["x 1", "x 3"]);
  socket.send("n 1 3", 'e 1 {"code":"cancelled"}', "z 3");
  await settle();
  assert.deepEqual(socket.take(), []);
}));

test("leaving a loop whose line is not written takes the line back; return ends a next that waits", inWorld(async (world) => {
  const stream = world.api.$.stream("a");
  const next = stream.next();
  assert.deepEqual(await stream.return(7), { value: 7, done: true });
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
  const socket = await world.socket();
  assert.deepEqual(socket.take(), []);
}));

test("return drops the items that wait, and says nothing about a call that is over", inWorld(async (world) => {
  const socket = await world.socket();
  const [left, ended] = [world.api.$.stream("a"), world.api.$.stream("b")];
  await settle();
  socket.take();
  socket.send("n 1 1", "n 1 2", "n 3 1", "z 3");
  await settle();
  await Promise.all([left.return(), ended.return()]);
  assert.deepEqual([(await left.next()).done, (await ended.next()).done], [true, true]);
  await settle();
  assert.deepEqual(socket.take(), ["x 1"]);
}));

test("who asks for several items at once gets them in order", inWorld(async (world) => {
  const socket = await world.socket();
  const stream = world.api.$.stream("a");
  const asked = [stream.next(), stream.next(), stream.next(), stream.next()];
  await settle();
  socket.send("n 1 1", "n 1 2", "r 1 3");
  assert.deepEqual(await Promise.all(asked), [
    { value: 1, done: false },
    { value: 2, done: false },
    { value: 3, done: true }, // behind items a value is what the stream returns
    { value: undefined, done: true },
  ]);
}));

test("a plain answer is a stream of one, none is a stream of none", inWorld(async (world) => {
  const socket = await world.socket();
  const streams = [world.api.a(), world.api.b(), world.api.c()].map((stream) => loop(stream));
  await settle();
  socket.send("r 1 5", "r 3", "r 5 null");
  await Promise.all(streams.map(({ done }) => done));
  assert.deepEqual(streams.map((seen) => [...seen, seen.end]), [[5, "end"], ["end"], [null, "end"]]);
}));

test("a failure is thrown by the loop, behind the items that came before it", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const stream = world.api.a();
  await assert.rejects(async () => {
    setImmediate(() => socket.send("n 1 1", 'e 1 {"code":"failed","message":"no more","data":{"at<!D>":7}}'));
    for await (const item of stream) seen.push(item);
  }, (error) => error instanceof ApeError && error.path === "a" && error.message === "no more" && error.data.at.getTime() === 7);
  assert.deepEqual(seen, [1]);
}));

test("a call that cannot be made fails in the loop, and not elsewhere", inWorld(async (world) => {
  const aborted = loop(world.api.a(1, { signal: AbortSignal.abort() }));
  const unsayable = loop(world.api.a(10n));
  const nameless = loop(world.api.$.stream(""));
  await Promise.all([aborted.done, unsayable.done, nameless.done]);
  assert.deepEqual([aborted.end, unsayable.end, nameless.end], ["cancelled", "invalid", "malformed"]);
  await world.socket();
  world.api.$.close();
  const closed = loop(world.api.a());
  await closed.done;
  assert.equal(closed.end, "closed");
}));

test("an item that cannot be read ends the call with invalid, here and there", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = loop(world.api.a());
  await settle();
  socket.take();
  socket.send("n 1 1", "n 1 {", "n 1 3");
  await seen.done;
  assert.deepEqual([...seen, seen.end], [1, "invalid"]);
  await settle();
  assert.deepEqual(socket.take(), ["x 1"]);
}));

test("a stream goes on after a resume, and is lost in a gap", inWorld(async (world) => {
  const first = await world.socket();
  const seen = loop(world.api.a(1, { key: "k" }));
  await settle();
  assert.deepEqual(first.take(), ["c 1 a;k=k;g=64 1"]);
  first.send("n 1 1", "a 1");
  first.cut();
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 1, got: 1 });
  second.send("n 1 2");
  await settle();
  second.cut();
  await world.clock.pass(1_000);
  const third = await world.socket({ gap: "unknown" });
  await seen.done;
  assert.deepEqual([...seen, seen.end], [1, 2, "lost"]);
  assert.deepEqual(third.take(), []); // a key helps a stream nothing: its items would come twice
  assert.deepEqual(world.infos.at(-1).lostCalls, [{ path: "a", key: "k" }]);
}));

test("a signal ends the loop", inWorld(async (world) => {
  const socket = await world.socket();
  const abort = new AbortController();
  const seen = loop(world.api.a(1, { signal: abort.signal }));
  await settle();
  socket.take();
  abort.abort();
  await seen.done;
  assert.equal(seen.end, "cancelled");
  await settle();
  assert.deepEqual(socket.take(), ["x 1"]);
}));

test("streams over streaming", inWorld(async (world) => {
  const get = await world.stream();
  const seen = loop(world.api.a(1, { window: 2 }));
  await settle();
  assert.deepEqual(world.network.post.lines, ["c 1 a;g=2 1"]);
  world.network.post.answer(204, 1);
  get.send("n 1 =AAEC", "n 1 2");
  await settle();
  assert.deepEqual(world.network.post.lines.filter((line) => line[0] === "g"), ["g 1 1", "g 1 1"]);
  get.send("z 1");
  await seen.done;
  assert.deepEqual(seen.map(String), ["0,1,2", "2"]);
}, { WebSocket: null }));
