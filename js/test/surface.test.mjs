import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { inWorld, outcome, settle } from "../fake/world.mjs";

test("await, template strings, JSON, the console and iteration neither hang, nor throw, nor send", inWorld(async (world) => {
  const socket = await world.socket();
  const { api } = world;
  for (const subject of [api, api.users, api.users.list]) {
    assert.equal(await subject, subject);
    assert.match(`${subject}`, /^\[ape ?.*\]$/);
    assert.match("" + subject, /^\[ape ?.*\]$/);
    assert.equal(JSON.stringify(subject), undefined);
    assert.equal(typeof inspect(subject), "string");
    assert.equal(subject.toJSON, undefined);
    assert.equal(subject.inspect, undefined);
    assert.equal(subject.then, undefined);
    assert.equal(subject[Symbol.iterator], undefined);
    assert.equal(subject[Symbol.asyncIterator], undefined);
    assert.equal(Object.prototype.toString.call(subject), "[object Function]");
  }
  await settle();
  assert.deepEqual(socket.take(), []);
}));

test("a path named like a member of the surface is reached through $, or below the root", inWorld(async (world) => {
  const socket = await world.socket();
  for (const path of ["on", "transport", "then", "$", "$/call", "toString"]) world.api.$.call(path).catch(() => {});
  world.api.users.on().catch(() => {});
  world.api.users.transport().catch(() => {});
  world.api.users.name().catch(() => {});
  await settle();
  assert.deepEqual(
    socket.take().map((line) => line.split(/[ ;]/)[2]),
    ["on", "transport", "then", "$", "$/call", "toString", "users/on", "users/transport", "users/name"],
  );
}));

test("the root is not a path", inWorld(async (world) => {
  await assert.rejects(world.api(1), { code: "malformed" });
}));

test("early calls, subscriptions and listeners share one socket", inWorld(async (world) => {
  world.api.a().catch(() => {});
  world.api.b().catch(() => {});
  world.api.news(() => {});
  world.api.on("tick", () => {});
  const socket = await world.socket();
  assert.equal(world.network.sockets.length, 1);
  assert.equal(world.network.gets.length + world.network.pings, 0);
  assert.deepEqual(socket.take(), ["c 1 a;t=10000", "c 3 b;t=10000", "s 5 news;l"]);
  assert.equal(socket.url, "wss://host.example/api/ape");
}));

test("onConnectionChange tells the current state at once and every change", inWorld(async (world) => {
  assert.deepEqual(world.states, ["connecting"]);
  assert.equal(world.api.transport, null);
  const socket = await world.socket();
  assert.deepEqual(world.states, ["connecting", "connected"]);
  assert.equal(world.api.transport, "websocket");
  assert.equal(world.api.$.state, "connected");
  assert.equal(world.api.$.id, "public");
  socket.cut();
  assert.deepEqual(world.states, ["connecting", "connected", "disconnected"]);
  assert.equal(world.api.transport, null);
  world.api.$.close();
  assert.deepEqual(world.states.slice(3), ["closing", "disconnected"]);
  assert.deepEqual(world.infos.at(-1), { code: "closed", final: true });
}));

test("close says goodbye, fails what is open, and connect begins anew with the subscriptions", inWorld(async (world) => {
  const socket = await world.socket();
  const seen = [];
  world.api.news((value) => seen.push(value));
  const call = outcome(world.api.slow());
  const failed = world.api.slow().catch((error) => error);
  await settle();
  socket.send("r 1", "m x");
  socket.take();
  world.api.$.send("last");
  world.api.$.close();
  assert.deepEqual(socket.take(), ["m last", 'q {"code":"bye"}']);
  assert.equal(socket.closed, 1000);
  assert.equal((await failed).code, "closed");
  await call;
  await assert.rejects(world.api.slow(), { code: "closed", data: { code: "closed" } });
  assert.throws(() => world.api.$.send("x"), { code: "closed" });
  await world.clock.pass(100_000);
  assert.equal(world.network.sockets.length, 1);

  world.api.$.connect();
  const again = await world.socket({ id: "other" });
  assert.deepEqual(again.hello.resume, undefined);
  assert.deepEqual(again.take(), ["s 7 news;l"]);
  again.send("r 7", 'b news;l "value"');
  await settle();
  assert.deepEqual(seen, ["value"]);
}));
