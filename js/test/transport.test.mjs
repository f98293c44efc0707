import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, settle } from "../fake/world.mjs";

const streaming = (run, options) => inWorld(run, { WebSocket: null, ...options });

test("a WebSocket that is refused: the server is asked for by HTTP, then streaming", inWorld(async (world) => {
  const call = world.api.a(1);
  const get = await world.stream();
  assert.equal(world.network.pings, 1);
  assert.equal(world.api.transport, "streaming");
  assert.equal(get.url, "https://host.example/api/ape/poll");
  assert.equal(get.headers["Ape-Protocol"], "ape.1");
  const { post } = world.network;
  assert.deepEqual([post.token, post.seq, post.lines], ["token", "1", ["c 1 a;t=10000 1"]]);
  post.answer(204, 1);
  get.send("r 1 true");
  assert.equal(await call, true);
}, { sockets: "refuse" }));

test("a WebSocket that shows no byte within 5 s gives way to streaming", inWorld(async (world) => {
  await world.clock.pass(4_999);
  assert.equal(world.network.gets.length, 0);
  await world.clock.pass(1);
  await world.stream();
  assert.equal(world.api.transport, "streaming");
}, { sockets: "hang" }));

test("a WebSocket that opens but brings no welcome within 15 s gives way to streaming", inWorld(async (world) => {
  await settle();
  for (let i = 0; i < 7; i++) {
    await world.clock.pass(2_000);
    world.network.socket.send("");
  }
  assert.equal(world.network.gets.length, 0);
  await world.clock.pass(1_000);
  await world.stream();
  assert.equal(world.api.transport, "streaming");
}));

test("while streaming, WebSocket is tried every 60 s, and takes over by a resume that nobody notices", inWorld(async (world) => {
  const get = await world.stream();
  await world.clock.pass(40_000);
  get.send("");
  await world.clock.pass(20_000 - 1);
  get.send("");
  assert.equal(world.network.sockets.length, 1);
  await world.clock.pass(1);
  assert.equal(world.network.sockets.length, 2); // and is refused
  assert.ok(!get.aborted);
  world.network.socketsDo = "open";
  for (let i = 0; i < 3; i++) {
    get.send("");
    await world.clock.pass(20_000);
  }
  assert.equal(world.network.sockets.length, 3);
  get.send("m late");
  const lost = world.api.a(1);
  const socket = await world.socket({ recovered: 0, got: 0 });
  assert.equal(socket.hello.resume, "token");
  assert.ok(get.aborted);
  assert.equal(world.api.transport, "websocket");
  assert.deepEqual(world.states, ["connecting", "connected"]);
  assert.deepEqual(socket.take(), ["c 1 a;t=10000 1"]);
  socket.send("r 1 1");
  assert.equal(await lost, 1);
  await world.clock.pass(40_000);
  assert.equal(world.network.sockets.length, 3);
}, { sockets: "refuse" }));

test("after WebSocket failed, a lost stream is repaired by streaming", inWorld(async (world) => {
  const get = await world.stream();
  get.send("m x");
  get.cut();
  await world.clock.pass(500);
  assert.equal(world.network.sockets.length, 1);
  const { resume, seen } = world.network.get.hello;
  assert.deepEqual([resume, seen], ["token", 1]);
}, { sockets: "refuse" }));

test("go away while streaming: the next GET takes over", streaming(async (world) => {
  const get = await world.stream();
  get.send("m x", 'q {"code":"restart","then":"resume","within":1000}');
  await world.clock.pass(500);
  assert.equal(world.network.gets.length, 2);
  assert.deepEqual([world.network.get.hello.resume, world.network.get.hello.seen], ["token", 1]);
  assert.ok(get.aborted);
  await world.stream({ recovered: 0, got: 0 });
  assert.deepEqual(world.states, ["connecting", "connected"]);
}));

test("from streaming to WebSocket and back nothing is lost or repeated", inWorld(async (world) => {
  const get = await world.stream();
  await world.clock.pass(40_000);
  get.send("");
  await world.clock.pass(19_000);
  const calls = [world.api.a(1)];
  await settle();
  const { posts } = world.network;
  world.network.socketsDo = "open";
  await world.clock.pass(1_000);
  const socket = await world.socket({ recovered: 0, got: 0 });
  posts[0].answer(204, 1); // late: the socket's numbers count
  assert.deepEqual(socket.take(), ["c 1 a;t=10000 1"]);
  calls.push(world.api.a(2));
  socket.send("a 1", "r 1 1");
  await settle();
  socket.cut();
  world.network.socketsDo = "refuse";
  await world.clock.pass(1_000);
  await world.clock.pass(1_000);
  const again = await world.stream({ recovered: 0, got: 1 });
  assert.equal(again.hello.seen, 1);
  const { post } = world.network;
  assert.deepEqual([post.seq, post.lines], ["2", ["c 3 a;t=10000 2"]]);
  again.send("r 3 2");
  assert.deepEqual(await Promise.all(calls), [1, 2]);
}, { sockets: "refuse" }));
