import assert from "node:assert/strict";
import { test } from "node:test";
import { helloOf, inWorld, outcome, settle } from "../fake/world.mjs";

/** What the client does after a close code: "resume", "new" or "final". */
async function after(world, end) {
  const first = await world.socket();
  end(first);
  await world.clock.pass(40_000);
  if (world.network.sockets.length === 1) return "final";
  return helloOf(world.network.sockets[1].end).resume ? "resume" : "new";
}

test("close codes say what comes next", async () => {
  const table = {
    resume: [4000, 4001, 4002, 4003, 4004, 4005, 4042, 1001, 1005, 1006, 1011, 3000],
    new: [4100, 4101, 4102, 4150, 1002, 1003, 1007, 1009, 1010],
    final: [4200, 4201, 4202, 4203, 4250, 4999, 1000],
  };
  for (const [then, codes] of Object.entries(table)) {
    for (const code of codes) {
      await inWorld(async (world) => assert.equal(await after(world, (end) => end.close(code)), then, String(code)))();
    }
  }
});

test("then in a q outranks the close code", async () => {
  for (const then of ["resume", "new", "final"]) {
    await inWorld(async (world) => {
      const end = (socket) => {
        socket.send(`q {"code":"whatever","then":"${then}"}`);
        socket.close(4201);
      };
      assert.equal(await after(world, end), then);
    })();
  }
});

test("kicked: open calls fail, nothing connects, the state says why", inWorld(async (world) => {
  const socket = await world.socket();
  const call = world.api.a().catch((error) => error);
  await settle();
  socket.send('q {"code":"kicked","then":"final"}');
  const error = await call;
  assert.deepEqual([error.code, error.data], ["closed", { code: "kicked" }]);
  assert.deepEqual(world.infos.at(-1), { code: "kicked", final: true });
  await world.clock.pass(100_000);
  assert.equal(world.network.sockets.length, 1);
  assert.equal(world.network.gets.length, 0);
}));

test("denied at the hello: streaming is not tried, waiting calls fail", inWorld(async (world) => {
  const call = world.api.a().catch((error) => error.code);
  await settle();
  world.network.socket.send('q {"code":"denied","then":"final"}');
  assert.equal(await call, "closed");
  await world.clock.pass(100_000);
  assert.deepEqual([world.network.sockets.length, world.network.gets.length, world.network.pings], [1, 0, 0]);
}));

test("replaced on the current connection: there is a double, so the session is given up", inWorld(async (world) => {
  const socket = await world.socket();
  const lost = world.api.a().catch((error) => error.code);
  await settle();
  socket.send('q {"code":"replaced","then":"new"}');
  await world.clock.pass(500);
  const again = await world.socket();
  assert.equal(again.hello.resume, undefined);
  assert.equal(await lost, "lost");
  assert.deepEqual(world.infos.at(-1), { gap: "replaced", lost: 1, lostCalls: [{ path: "a" }] });
}));

test("the server's within is waited for", inWorld(async (world) => {
  const socket = await world.socket();
  socket.send('q {"code":"unavailable","then":"resume","within":7000}');
  await world.clock.pass(6_999);
  assert.equal(world.network.sockets.length, 1);
  await world.clock.pass(1);
  assert.equal(world.network.sockets.length, 2);
}));

test("go away: the connection works on until the next one has shown a byte", inWorld(async (world) => {
  const first = await world.socket();
  first.send('q {"code":"restart","then":"resume","within":5000}');
  world.network.socketsDo = "hang";
  await world.clock.pass(2_500);
  assert.equal(world.network.sockets.length, 2);
  const call = world.api.a(1);
  await settle();
  assert.deepEqual(first.take(), ["c 1 a;t=10000 1"]);
  first.send("r 1 true");
  assert.equal(await call, true);
  const [, second] = world.network.sockets;
  second.readyState = 1;
  second.onopen();
  assert.deepEqual(second.end.received, []);
  second.end.send("");
  await settle();
  const hello = helloOf(second.end);
  assert.deepEqual([hello.resume, hello.seen], ["token", 1]);
  assert.equal(first.closed, 4000); // the server keeps the session
  first.send("m late");
  second.end.send('w {"id":"public","resume":"token","recovered":0,"got":1}');
  assert.deepEqual(world.states, ["connecting", "connected"]);
}));

/** Seconds between attempts that fail, where every random number is `random`. */
async function waits(random) {
  const all = [];
  await inWorld(async (world) => {
    (await world.socket()).cut();
    world.network.socketsDo = world.network.getsDo = "refuse";
    world.network.pingAnswer = () => Promise.reject(new TypeError("refused"));
    for (let last = world.clock.now; all.length < 9; ) {
      const { length } = world.network.sockets;
      while (world.network.sockets.length === length) await world.clock.pass(25);
      all.push(Math.round((world.clock.now - last) / 25) / 40);
      last = world.clock.now;
    }
  }, { random: () => random })();
  return all;
}

test("backoff: a random time below min(15 s, 0.5 s × 2^n)", async () => {
  assert.deepEqual(await waits(0.9999), [0.5, 1, 2, 4, 8, 15, 15, 15, 15]);
  assert.deepEqual(await waits(0.0999), [0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5, 1.5]);
});

test("backoff begins again when a connection stood for 10 s, and not before", async () => {
  for (const [stood, wait] of [[9_999, 1_000], [10_000, 500]]) {
    await inWorld(async (world) => {
      (await world.socket()).cut();
      await world.clock.pass(500);
      const socket = await world.socket({ recovered: 0, got: 0 });
      await world.clock.pass(stood);
      socket.cut();
      const { length } = world.network.sockets;
      await world.clock.pass(wait - 10);
      assert.equal(world.network.sockets.length, length, String(stood));
      await world.clock.pass(10);
      assert.equal(world.network.sockets.length, length + 1, String(stood));
    }, { random: () => 0.9999 })();
  }
});

test("silence for twice the beat: the connection is given up and resumed", inWorld(async (world) => {
  const socket = await world.socket({ limits: { beat: 1_000 } });
  await world.clock.pass(1_500);
  socket.send("p");
  await world.clock.pass(1_999);
  assert.equal(world.api.$.state, "connected");
  await world.clock.pass(1);
  assert.equal(world.api.$.state, "disconnected");
  assert.equal(socket.closed, 4000);
  await world.clock.pass(500);
  assert.equal(helloOf(world.network.socket).resume, "token");
}));

test("a message that is cut: what is whole is taken, then closed with 4005", inWorld(async (world) => {
  const seen = [];
  world.api.on("n", (n) => seen.push(n));
  const socket = await world.socket();
  socket.sendRaw("m n 1\nm n 2\nm n 3");
  await settle();
  assert.deepEqual(seen, [1, 2]);
  assert.equal(socket.closed, 4005);
  await world.clock.pass(500);
  const second = await world.socket({ recovered: 1, got: 0 });
  assert.equal(second.hello.seen, 2);
  second.sendRaw(new TextEncoder().encode("m n 3\nm n =5\n123").buffer);
  await settle();
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(second.closed, 4005);
}));

test("coming back to a page asks for a sign of life, and gives the connection 5 s for it", inWorld(async (world) => {
  const socket = await world.socket();
  for (const event of ["online", "visibilitychange"]) {
    world.page.fire(event);
    assert.deepEqual(socket.take(), ["p"]);
    world.page.fire(event);
    assert.deepEqual(socket.take(), []); // one question at a time
    socket.send("a 0");
  }
  await world.clock.pass(10_000);
  assert.equal(world.api.$.state, "connected");
  document.visibilityState = "hidden";
  world.page.fire("visibilitychange");
  assert.deepEqual(socket.take(), []);
  world.page.fire("online");
  await world.clock.pass(5_000);
  assert.notEqual(world.api.$.state, "connected");
}));

test("online ends the wait for the next attempt; offline is a state", inWorld(async (world) => {
  const socket = await world.socket();
  navigator.onLine = false;
  world.page.fire("offline");
  assert.equal(world.api.$.state, "connected"); // until it is lost indeed
  world.network.socketsDo = "refuse";
  world.network.pingAnswer = () => Promise.reject(new TypeError("offline"));
  socket.cut();
  assert.equal(world.api.$.state, "offline");
  await world.clock.pass(60_000);
  assert.equal(world.api.$.state, "offline");
  navigator.onLine = true;
  world.network.socketsDo = "open";
  const { length } = world.network.sockets;
  world.page.fire("online");
  assert.equal(world.network.sockets.length, length + 1);
  await world.socket({ recovered: 0, got: 0 });
  assert.equal(world.api.$.state, "connected");
}));

test("losing the network while waiting for the next attempt is a state", inWorld(async (world) => {
  (await world.socket()).cut();
  assert.equal(world.api.$.state, "disconnected");
  world.page.fire("offline");
  assert.equal(world.api.$.state, "offline");
}));

test("walled: something else answers for the server", async () => {
  const answers = {
    "a portal's page": () => new Response("<html>", { status: 200 }),
    "another status": () => Response.json({ ok: true, ts: 1 }, { status: 502 }),
    "no ok": () => Response.json({ ts: 1 }),
    "no time": () => Response.json({ ok: true }),
    "nothing": () => new Promise(() => {}),
    "an error": () => Promise.reject(new TypeError("failed")),
  };
  for (const [name, answer] of Object.entries(answers)) {
    await inWorld(async (world) => {
      world.network.pingAnswer = answer;
      await world.clock.pass(3_000);
      assert.ok(world.states.includes("walled"), name);
      assert.equal(world.network.gets.length, 0, name);
      world.network.socketsDo = "open";
      await world.clock.pass(30_000);
      await world.socket();
      assert.equal(world.api.$.state, "connected", name);
    }, { sockets: "refuse" })();
  }
});

test("leaving the page ends the session", inWorld(async (world) => {
  const socket = await world.socket();
  world.api.$.send("track", 1);
  world.page.fire("pagehide", { persisted: false });
  assert.deepEqual(socket.take(), ["m track 1", 'q {"code":"bye"}']);
  assert.equal(socket.closed, 1000);
}));

test("a page in the back/forward cache keeps its session and resumes", inWorld(async (world) => {
  const socket = await world.socket();
  const call = outcome(world.api.a());
  await settle();
  socket.take();
  world.page.fire("pagehide", { persisted: true });
  assert.deepEqual(socket.take(), []);
  assert.equal(socket.closed, 4000);
  await world.clock.pass(3_000);
  assert.equal(world.network.sockets.length, 1);
  world.page.fire("pageshow", { persisted: true });
  const again = await world.socket({ recovered: 0, got: 1 });
  assert.equal(again.hello.resume, "token");
  assert.equal(await call, "pending");
  world.page.fire("pageshow", { persisted: false });
  assert.equal(world.network.sockets.length, 2);
}));

test("a WebSocket that cannot even be made is one that fails", async () => {
  class Throwing {
    constructor() {
      throw new Error("SecurityError");
    }
  }
  await inWorld(async (world) => {
    await world.stream();
    assert.equal(world.api.transport, "streaming");
  }, { WebSocket: Throwing })();
});
