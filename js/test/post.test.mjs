import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, outcome, settle } from "../fake/world.mjs";

const streaming = (run, options) => inWorld(run, { WebSocket: null, ...options });

test("one POST at a time; what gathers meanwhile goes into the next", streaming(async (world) => {
  const get = await world.stream();
  const { posts } = world.network;
  for (let i = 0; i < 3; i++) {
    world.api.a(i).catch(() => {});
    await settle();
  }
  get.send("m x");
  assert.equal(posts.length, 1);
  posts[0].answer(204, 1);
  await settle();
  assert.deepEqual(posts[1].all, ["a 1", "c 3 a;t=10000 1", "c 5 a;t=10000 2"]);
  assert.equal(posts[1].seq, "2");
  posts[1].answer(204, 3);
  await settle();
  assert.equal(posts.length, 2);
}));

test("a POST holds at most 64 KiB, or one line", streaming(async (world) => {
  await world.stream();
  for (const size of [40_000, 40_000, 100_000, 10]) world.api.a("x".repeat(size)).catch(() => {});
  const { posts } = world.network;
  for (let i = 0; i < 4; i++) {
    await settle();
    posts[i].answer(204, i + 1);
  }
  assert.deepEqual(posts.map((post) => post.lines.length), [1, 1, 1, 1]);
}));

test("bytes travel as base64", streaming(async (world) => {
  const get = await world.stream();
  const call = world.api.size(Uint8Array.of(0, 1, 2).buffer);
  await settle();
  assert.deepEqual(world.network.post.lines, ["c 1 size;t=10000 =AAEC"]);
  get.send("r 1 =AAEC");
  assert.deepEqual([...(await call)], [0, 1, 2]);
}));

test("p is answered by POST at once; a POST without counted lines has no number", streaming(async (world) => {
  const get = await world.stream();
  get.send("m x", "p");
  await settle();
  const { post } = world.network;
  assert.deepEqual([post.all, post.seq], [["a 1"], undefined]);
}));

test("a POST without an answer for 10 s is repeated with the same number; more may follow", streaming(async (world) => {
  await world.stream();
  world.api.a(1, { timeout: 0 }).catch(() => {});
  const { posts } = world.network;
  await world.clock.pass(9_999);
  world.api.a(2, { timeout: 0 }).catch(() => {});
  assert.equal(posts.length, 1);
  await world.clock.pass(1_001);
  assert.equal(posts.length, 2);
  assert.ok(posts[0].aborted);
  assert.deepEqual([posts[1].seq, posts[1].lines], ["1", ["c 1 a 1", "c 3 a 2"]]);
  posts[1].answer(204, 2);
  await settle();
  assert.equal(posts.length, 2);
}));

test("after the third POST without a good answer the connection counts as lost", streaming(async (world) => {
  const get = await world.stream();
  world.network.postsDo = "refuse";
  world.api.a(1, { timeout: 0 }).catch(() => {});
  await world.clock.pass(3_000);
  assert.equal(world.network.posts.length, 3);
  assert.ok(get.aborted);
  await world.clock.pass(1_000);
  assert.equal(world.network.get.hello.resume, "token");
  world.network.postsDo = "wait";
  await world.stream({ recovered: 0, got: 0 });
  assert.deepEqual(world.network.post.lines, ["c 1 a 1"]);
}));

test("a connection that is given up sends nothing more, also when it was waiting to", streaming(async (world) => {
  const get = await world.stream();
  world.network.postsDo = "refuse";
  world.api.a(1, { timeout: 0 }).catch(() => {});
  await settle();
  assert.equal(world.network.posts.length, 1);
  world.network.getsDo = "hang";
  get.cut();
  await world.clock.pass(4_000);
  assert.equal(world.network.gets.length, 2);
  assert.equal(world.network.posts.length, 1);
}));

test("an answer of something else than the server is none", streaming(async (world) => {
  await world.stream();
  world.api.a(1).catch(() => {});
  await settle();
  world.network.posts[0].plain(204);
  await world.clock.pass(1_000);
  assert.equal(world.network.posts.length, 2);
  assert.equal(world.network.posts[1].seq, "1");
}));

test("409: goes on behind what the server has", streaming(async (world) => {
  const get = await world.stream();
  for (let i = 0; i < 3; i++) world.api.a(i).catch(() => {});
  await settle();
  const { posts } = world.network;
  posts[0].answer(409, 1);
  await settle();
  assert.deepEqual([posts[1].seq, posts[1].lines.length], ["2", 2]);
  assert.ok(!get.aborted);
}));

test("409 with less than the server had acknowledged: a new session", streaming(async (world) => {
  await world.stream();
  const { posts } = world.network;
  world.api.a(1).catch(() => {});
  await settle();
  posts[0].answer(204, 1);
  world.api.a(2).catch(() => {});
  await settle();
  posts[1].answer(409, 0);
  await world.clock.pass(1_000);
  if (world.network.gets.length < 2) await world.clock.pass(5_000);
  assert.equal(world.network.gets.length, 2);
}));

test("400, 429, 503: what was taken is not repeated, the rest waits as the server wants", streaming(async (world) => {
  await world.stream();
  const { posts } = world.network;
  for (let i = 0; i < 3; i++) world.api.a(i, { timeout: 0 }).catch(() => {});
  await settle();
  posts[0].answer(400, 1);
  await settle();
  assert.equal(posts[1].seq, "2");
  posts[1].answer(429, 1, { "Retry-After": "3" });
  await world.clock.pass(2_999);
  assert.equal(posts.length, 2);
  await world.clock.pass(1);
  assert.equal(posts[2].seq, "2");
  posts[2].answer(503, undefined, { "Retry-After": "1" });
  await world.clock.pass(1_000);
  posts[3].answer(204, 3);
  await settle();
  assert.equal(posts.length, 4);
}));

test("413: lines go one by one, and one that is too long by itself fails alone", streaming(async (world) => {
  await world.stream();
  const { posts } = world.network;
  const small = outcome(world.api.a(1, { timeout: 0 }));
  const large = world.api.a("x".repeat(50_000), { timeout: 0 }).catch((error) => error);
  const after = world.api.a(3, { timeout: 0 });
  await settle();
  posts[0].plain(413);
  await settle();
  assert.deepEqual(posts[1].lines, ["c 1 a 1"]);
  posts[1].answer(204, 1);
  await settle();
  posts[2].plain(413);
  assert.deepEqual([(await large).code, (await large).path], ["too_large", "a"]);
  await settle();
  assert.deepEqual([posts[3].seq, posts[3].lines], ["2", ["x 0"]]); // the number must not be missing
  posts[3].answer(204, 2);
  await settle();
  assert.deepEqual(posts[4].lines, ["c 5 a 3"]);
  posts[4].answer(204, 3);
  world.network.get.send("r 5 true");
  assert.equal(await after, true);
  assert.equal(await small, "pending");
}));

test("410: a hello asks what became of the session", streaming(async (world) => {
  const get = await world.stream();
  world.api.a(1).catch(() => {});
  await settle();
  world.network.post.answer(410);
  await world.clock.pass(500);
  assert.ok(get.aborted);
  assert.equal(world.network.get.hello.resume, "token");
}));
