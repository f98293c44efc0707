import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, settle } from "../fake/world.mjs";

test("a single function subscribes, whatever the depth of the path", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const off = world.api.news.banking((value) => seen.push(value));
  world.api.news("/sport", (value) => seen.push(value));
  await settle();
  assert.deepEqual(socket.take(), ["s 1 news/banking;l", "s 3 news/sport;l"]);
  socket.send("r 1", "r 3", 'b news/banking;l "old"', 'b news/banking "new"', "b news/sport 1", "b other 2");
  await off.ready;
  await settle();
  assert.deepEqual(seen, ["old", "new", 1]);
}));

test("a channel that only the server has subscribed this page to is heard by on", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.on("rooms/lobby", (data) => seen.push(data));
  world.api.on((message) => seen.push(message));
  world.api.own((value) => seen.push("own " + value));
  await settle();
  socket.send("r 1", 'b rooms/lobby {"at<!D>":7}', "b own 1", "m other 2");
  await settle();
  const at = { at: new Date(7) };
  assert.deepEqual(seen, [at, { type: "rooms/lobby", data: at }, "own 1", { type: "other", data: 2 }]);
}));

test("what still comes between unsubscribing and its answer is for nobody", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const off = world.api.news(() => {});
  world.api.on((message) => seen.push(message.data));
  await settle();
  off();
  await settle();
  socket.send("b news 1", "r 1", "b news 2", "r 3", "b news 3");
  await settle();
  assert.deepEqual(seen, [3]);
}));

test("functions share one subscription, the later ones get the last value, the last one to go ends it", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  const first = world.api.news((value) => seen.push("first " + value));
  await settle();
  socket.send("r 1", "b news;l 1");
  await settle();
  const second = world.api.news((value) => seen.push("second " + value));
  assert.deepEqual(seen, ["first 1"]); // not before the caller has its function
  await settle();
  assert.deepEqual(seen, ["first 1", "second 1"]);
  await second.ready;
  first();
  first();
  socket.send("b news 2");
  await settle();
  assert.deepEqual(seen.slice(2), ["second 2"]);
  assert.deepEqual(socket.take(), ["s 1 news;l"]);
  second();
  await settle();
  assert.deepEqual(socket.take(), ["u 3 news"]);
  socket.send("b news 3", "r 3");
  await settle();
  assert.equal(seen.length, 3);
}));

test("a function that unsubscribes before the last value comes does not get it", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.news(() => {});
  await settle();
  socket.send("r 1", "b news;l 1");
  await settle();
  world.api.news(() => assert.fail("called"))();
  await settle();
}));

test("a subscription that ends before it is written leaves no trace", inWorld(async (world) => {
  world.api.news(() => {})();
  const socket = await world.socket();
  assert.deepEqual(socket.take(), []);
}));

test("a refusal is given to ready and to the console, and the channel can be tried again", inWorld(async (world) => {
  const socket = await world.socket();
  const off = world.api.secret(() => {});
  await settle();
  socket.send('e 1 {"code":"denied","message":"not yours"}');
  await assert.rejects(off.ready, { code: "denied", message: "not yours", path: "secret" });
  assert.equal(world.said.length, 1);
  off();
  world.api.secret(() => {});
  await settle();
  assert.deepEqual(socket.take(), ["s 1 secret;l", "s 3 secret;l"]);
}));

test("a refusal that nobody asks for is no unhandled rejection", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.secret(() => {});
  await settle();
  socket.send('e 1 {"code":"denied"}');
  await settle();
}));

test("the server can end a subscription", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.news((value) => seen.push(value));
  await settle();
  socket.send("r 1", 'u 0 news {"code":"denied"}', "b news 1");
  await settle();
  assert.deepEqual(seen, []);
  assert.equal(world.said.length, 1);
}));

test("subscribing again while the unsubscription is under way keeps the new one", inWorld(async (world) => {
  const socket = await world.socket();
  const off = world.api.news(() => {});
  await settle();
  off();
  const seen = [];
  world.api.news((value) => seen.push(value));
  await settle();
  assert.deepEqual(socket.take(), ["s 1 news;l", "u 3 news", "s 5 news;l"]);
  socket.send("r 1", "r 3", "r 5", "b news;l 5");
  await settle();
  assert.deepEqual(seen, [5]);
}));
