import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, outcome, settle, welcomeLine } from "../fake/world.mjs";

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
