import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import vm from "node:vm";
import * as module from "../dist/ape.mjs";
import { Network } from "../fake/network.mjs";
import { helloOf, settle, welcomeLine } from "../fake/world.mjs";

/** Runs the classic script in a page of its own. */
function page(src, href = "https://page.example/dir/", more = {}, load = (file) => import("../dist/" + file)) {
  const network = new Network();
  const names = "URL AbortController TextEncoder TextDecoder console queueMicrotask setTimeout clearTimeout Response Promise";
  const globals = Object.fromEntries(names.split(" ").map((name) => [name, globalThis[name]]));
  const { WebSocket, fetch } = network;
  const loaded = [];
  const imported = (file) => {
    loaded.push(file);
    return load(file);
  };
  // Node has no import() in such a page without a flag.
  const code = readFileSync(new URL("../dist/ape.js", import.meta.url), "utf8").replace("import(", "imported(");
  const context = vm.createContext({ ...globals, WebSocket, fetch, imported, ...more, document: { currentScript: src && { src } }, location: { href } });
  const before = Object.keys(context);
  vm.runInContext(code, context);
  return { api: context.api, network, loaded, added: Object.keys(context).filter((name) => !before.includes(name)) };
}

test("the classic script sets api, nothing else, and connects to the server that it came from", async () => {
  const { api, network, added } = page("https://other.example/api/ape.js?v=1");
  assert.deepEqual(added, ["api"]);
  const call = api.hello("Ann");
  await settle();
  const { socket } = network;
  assert.equal(socket.url, "wss://other.example/api/ape");
  helloOf(socket);
  socket.send(welcomeLine());
  await settle();
  assert.deepEqual(socket.take(), ['c 1 hello;t=10000 "Ann"']);
  socket.send('r 1 "Hello, Ann!"');
  assert.equal(await call, "Hello, Ann!");
  api.$.close();
});

test("the base follows the script's own address where that is a server's", async () => {
  const table = {
    "https://a.example/api/ape.js": "wss://a.example/api/ape",
    "http://a.example/x/y/ape.mjs#z": "ws://a.example/x/y/ape",
    "https://a.example/node_modules/@goape/ape/dist/ape.js": "wss://page.example/api/ape",
    "https://a.example/assets/index-1234.js": "wss://page.example/api/ape",
    "": "wss://page.example/api/ape",
  };
  for (const [src, url] of Object.entries(table)) {
    const { api, network } = page(src);
    await settle();
    assert.equal(network.socket.url, url, src);
    api.$.close();
  }
});

test("a classic script loads the rest from beside itself, when it needs it", async () => {
  const { api, network, loaded } = page("https://other.example/api/ape.js", undefined, { WebSocket: undefined });
  const call = api.hello("Ann");
  await settle();
  network.get.send(welcomeLine());
  await settle();
  network.post.answer(204, 1);
  network.get.send('r 1 "Hello, Ann!"');
  assert.equal(await call, "Hello, Ann!");
  assert.deepEqual(loaded, ["./ape.more.mjs"]);
  api.$.close();

  const second = page("https://other.example/api/ape.js");
  second.api.hello().catch(() => {});
  await settle();
  helloOf(second.network.socket);
  second.network.socket.send(welcomeLine());
  await settle();
  assert.deepEqual(second.loaded, []);
  second.api.$.handle("confirm", (data) => data);
  await settle();
  second.network.socket.send("c 2 confirm 5");
  await settle();
  assert.deepEqual(second.network.socket.take().slice(1), ["r 2 5"]);
  assert.deepEqual(second.loaded, ["./ape.more.mjs"]);
  second.api.$.close();
});

test("what cannot be loaded, or does not fit, fails what needs it and nothing else", async () => {
  const broken = [() => Promise.reject(new TypeError("blocked")), async () => ({ parts: {} })];
  for (const load of broken) {
    const said = [];
    const { api, network } = page("https://other.example/api/ape.js", undefined, { console: { error: (...all) => said.push(all) } }, load);
    await settle();
    helloOf(network.socket);
    network.socket.send(welcomeLine());
    api.$.handle("confirm", () => 5);
    const items = api.sum((async function* () {})()).catch((error) => error);
    const plain = api.plain();
    await settle();
    network.socket.send("c 2 confirm", "r 3 1");
    assert.equal(await plain, 1);
    assert.equal((await items).code, "cancelled");
    await settle();
    assert.deepEqual(network.socket.take(), ["c 3 plain;t=10000", 'e 2 {"code":"unavailable"}']);
    assert.equal(said.length, 1);
    api.$.close();
  }
});

test("importing has no effect; the default api connects when it is used", async () => {
  const { default: api } = module;
  assert.equal(api.$.state, "disconnected");
  assert.equal(api.transport, null);
  await assert.rejects(api.a(), /absolute/); // there is no page here
});

test("require gives the same", () => {
  const required = createRequire(import.meta.url)("../dist/ape.cjs");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(module).sort());
  const error = new required.ApeError({ code: "lost", message: "text" }, "a/b");
  assert.deepEqual([String(error), error.code, error.path], ["ApeError: text", "lost", "a/b"]);
});
