import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, outcome, settle, welcomeLine } from "../fake/world.mjs";

const streaming = (run, options) => inWorld(run, { WebSocket: null, ...options });

test("the hello is ASCII, also where auth is not", streaming(async (world) => {
  const get = await world.stream();
  assert.match(get.headers["Ape-Hello"], /^[\x20-\x7e]+$/);
  assert.equal(get.hello.auth, "é 🦍");
}, { auth: "é 🦍" }));

test("lines may be split anywhere, and what stands behind the last LF does not exist", streaming(async (world) => {
  const get = await world.stream();
  const seen = [];
  world.api.on("n", (n) => seen.push(n));
  const bytes = new TextEncoder().encode('m n "🦍é"\nm n 2\nm n 3');
  for (const byte of bytes) get.sendRaw(Uint8Array.of(byte));
  await settle();
  get.end();
  await settle();
  assert.deepEqual(seen, ["🦍é", 2]);
}));

test("statuses of a GET say what comes next, and a q line outranks them", async () => {
  const q = (then) => `q {"code":"whatever","then":"${then}"}\n`;
  const table = [
    [400, "", "final"],
    [403, "", "final"],
    [409, "", "resume"],
    [429, "", "resume"],
    [503, "", "resume"],
    [503, q("final"), "final"],
    [403, q("resume"), "resume"],
    [409, q("new"), "new"],
  ];
  for (const [status, body, then] of table) {
    await streaming(async (world) => {
      const get = await world.stream();
      world.network.getsDo = "hang";
      get.cut();
      await world.clock.pass(500);
      world.network.get.answer(status, body);
      await world.clock.pass(3_000);
      const next = world.network.gets[2];
      const seen = !next ? "final" : next.hello.resume ? "resume" : "new";
      assert.equal(seen, then, `${status} ${body}`);
    })();
  }
});

test("a status that is not our server's is never final", streaming(async (world) => {
  world.network.getsDo = "hang";
  await settle();
  world.network.get.plain(403, "Forbidden by the proxy");
  await world.clock.pass(1_000);
  assert.equal(world.network.gets.length, 2);
}));

test("Retry-After of a refused GET is waited for", streaming(async (world) => {
  world.network.getsDo = "hang";
  await settle();
  world.network.get.answer(503, "", { "Retry-After": "9" });
  await world.clock.pass(8_999);
  assert.equal(world.network.gets.length, 1);
  await world.clock.pass(1);
  assert.equal(world.network.gets.length, 2);
}));

test("a first response without a byte for 5 s is being buffered: poll", streaming(async (world) => {
  world.network.getsDo = "hang";
  const call = world.api.a(1);
  await world.clock.pass(4_999);
  assert.equal(world.network.gets.length, 1);
  await world.clock.pass(1);
  const [first, second] = world.network.gets;
  assert.ok(first.aborted);
  assert.deepEqual([first.hello.poll, second.hello.poll], [undefined, true]);

  second.send(welcomeLine()); // a new session ends its first response at once
  second.end();
  await settle();
  const third = world.network.get;
  assert.deepEqual([third.hello.poll, third.hello.resume, third.hello.seen], [true, "token", 0]);
  // POSTs go while the GET shows nothing
  assert.deepEqual(world.network.post.lines, ["c 1 a;t=10000 1"]);
  world.network.post.answer(204, 1);
  await world.clock.pass(1_500);
  assert.equal(world.api.$.state, "connected");
  third.send(welcomeLine({ recovered: 1, got: 0 }), "r 1 true"); // got is older than the POST
  third.end();
  assert.equal(await call, true);
  await settle();
  assert.deepEqual([world.network.gets.length, world.network.get.hello.seen], [4, 1]);
  assert.deepEqual(world.states, ["connecting", "connected"]);
  // no p in poll mode
  world.page.fire("online");
  await settle();
  assert.equal(world.network.posts.length, 1);
  // the server ends an empty response when a beat has passed
  await world.clock.pass(25_000);
  world.network.get.send(welcomeLine({ recovered: 0, got: 1 }));
  world.network.get.end();
  await settle();
  assert.equal(world.network.gets.length, 5);
  assert.equal(world.api.$.state, "connected");
}));

test("poll: silence for twice the beat is a loss", streaming(async (world) => {
  world.network.getsDo = "hang";
  await world.clock.pass(5_000);
  await world.stream({ limits: { beat: 1_000 } });
  world.network.get.end();
  await settle();
  await world.clock.pass(1_999);
  assert.equal(world.api.$.state, "connected");
  await world.clock.pass(1);
  assert.equal(world.api.$.state, "disconnected");
}));

test("a gap between two polls: what was posted meanwhile belongs to the old session", streaming(async (world) => {
  world.network.getsDo = "hang";
  await world.clock.pass(5_000);
  await world.stream();
  world.network.get.end();
  await settle();
  const lost = world.api.a(1).catch((error) => error.code);
  await settle();
  const [old] = world.network.posts;
  world.network.get.send(welcomeLine({ resume: "new", gap: "unknown" }));
  await settle();
  assert.equal(await lost, "lost");
  const call = outcome(world.api.a(2));
  await settle();
  old.answer(204, 1);
  await settle();
  const { post } = world.network;
  assert.deepEqual([post.token, post.seq, post.lines], ["new", "1", ["c 3 a;t=10000 2"]]);
  assert.equal(await call, "pending");
}));

test("a server that ends a response early is asked again at once, but not in circles", streaming(async (world) => {
  const get = await world.stream();
  get.send("m x");
  get.end();
  await settle();
  assert.equal(world.network.gets.length, 2); // as in poll mode, which a server may choose for many streams
  const second = await world.stream({ recovered: 0, got: 0 });
  second.end();
  await settle();
  assert.equal(world.network.gets.length, 2);
  assert.equal(world.api.$.state, "disconnected");
}));

test("coming back asks for a sign of life by POST", streaming(async (world) => {
  const get = await world.stream();
  world.page.fire("online");
  await settle();
  assert.deepEqual([world.network.post.all, world.network.post.seq], [["p"], undefined]);
  world.network.post.answer(204, 0);
  get.send("a 0");
  await world.clock.pass(10_000);
  assert.equal(world.api.$.state, "connected");
}));

test("leaving the page: what waits and the goodbye go in one last request", streaming(async (world) => {
  const get = await world.stream();
  world.api.$.send("one");
  await settle();
  world.api.$.send("two");
  get.send("m x");
  await settle();
  world.page.fire("pagehide", { persisted: false });
  const { post } = world.network;
  assert.ok(post.keepalive);
  assert.deepEqual([post.token, post.seq, post.all], ["token", "1", ["a 1", "m one", "m two", 'q {"code":"bye"}']]);
  assert.ok(get.aborted);
}));

test("leaving with more than a last request may hold still says goodbye", streaming(async (world) => {
  await world.stream();
  world.api.a("x".repeat(100_000)).catch(() => {});
  world.page.fire("pagehide", { persisted: false });
  assert.deepEqual([world.network.post.lines, world.network.post.seq], [['q {"code":"bye"}'], undefined]);
}));
