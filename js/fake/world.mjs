// One test's world: a client, the network it sees, the time, the page.

import { connect } from "../dist/ape.mjs";
import "../dist/ape.more.mjs"; // which the client loads when it needs it: then without delay
import { Clock, settle } from "./clock.mjs";
import { Network } from "./network.mjs";
import { Page } from "./page.mjs";

export { settle };

/** Runs a test in a world of its own. */
export function inWorld(run, options = {}) {
  return async () => {
    const world = new World(options);
    try {
      await run(world);
    } finally {
      world.restore();
    }
  };
}

export class World {
  network = new Network();
  states = [];
  infos = [];
  /** What the client said to the console. */
  said = [];

  constructor({ random, sockets = "open", WebSocket, ...options } = {}) {
    this.clock = new Clock(random);
    this.page = new Page();
    this.console = { error: console.error, warn: console.warn };
    console.error = console.warn = (...args) => this.said.push(args);
    this.network.socketsDo = sockets;
    this.api = connect("https://host.example/api/ape", {
      WebSocket: WebSocket === undefined ? this.network.WebSocket : WebSocket,
      fetch: this.network.fetch,
      ...options,
    });
    this.api.onConnectionChange((state, info) => {
      this.states.push(state);
      this.infos.push(info);
    });
  }

  /** Connects over WebSocket and answers the hello. Returns the server's end. */
  async socket(welcome = {}) {
    await settle();
    const { socket } = this.network;
    const hello = helloOf(socket);
    socket.send(welcomeLine(welcome));
    await settle();
    socket.hello = hello;
    return socket;
  }

  /** Connects over streaming and answers the hello. Returns the server's end. */
  async stream(welcome = {}) {
    await settle();
    const { get } = this.network;
    get.send(welcomeLine(welcome));
    await settle();
    return get;
  }

  restore() {
    this.api.$.close();
    this.clock.restore();
    this.page.restore();
    Object.assign(console, this.console);
  }
}

/** The hello that a socket received, which is taken from its lines. */
export function helloOf(socket) {
  const [line] = socket.take();
  if (!line?.startsWith("h ")) throw new Error("no hello: " + line);
  return JSON.parse(line.slice(2));
}

export function welcomeLine(welcome = {}) {
  return "w " + JSON.stringify({ id: "public", resume: "token", server: "fake", keeper: "k", ...welcome });
}

/** A promise's outcome without waiting for it: its value, its error, or "pending". */
export async function outcome(promise) {
  let result = "pending";
  promise.then((value) => (result = { value }), (error) => (result = { error }));
  await settle();
  return result;
}
