// What every connection does, over whichever transport: hello, welcome, numbers, silence, parting.

import { object } from "./codec";
import { isCounted, parse } from "./line";
import type { Session, Welcome } from "./session";
import type { StateInfo } from "./states";

export type Transport = "websocket" | "streaming";

/** Why a connection ended, and what to do next. */
export interface Parting {
  code: string;
  then: "resume" | "new" | "final";
  /** Milliseconds to wait at least. */
  within: number;
  /** The server said so itself, hence this transport works. */
  told: boolean;
}

/** What the client wants to hear from a connection. */
export interface Watcher {
  /** The hello is being sent: from now on only this connection counts. */
  hello(connection: Connection): void;
  welcomed(connection: Connection, info: StateInfo): void;
  lost(connection: Connection, parting: Parting): void;
  /** The server asks to move to another connection within so many milliseconds. */
  goAway(within: number): void;
}

export interface Settings {
  /** URL of the server's mount and `/ape`, without a slash at its end. */
  base: string;
  /** What the hello carries for the application's connect hook. */
  auth: () => Promise<unknown>;
  fetch: typeof fetch;
  /** Streaming responses are buffered on their way. */
  poll?: boolean;
  WebSocket?: typeof WebSocket | null;
}

/** What a transport does. */
export interface Carrier {
  /** Writes what the log and the acknowledgements hold. */
  flush(): void;
  /** Ends the session: nothing can be received any more. */
  bye(): void;
  /** Sends a line that is not counted. */
  control(line: string): void;
  /** Lets go of socket and requests; the server keeps the session. */
  shut(code: number): void;
  /** Nothing came for too long. True when it has done something about that. */
  silent?(): boolean;
}

/** What transports find in a connection, and who opened it. */
export interface Connection {
  readonly transport: Transport;
  readonly session: Session;
  readonly settings: Settings;
  carrier?: Carrier;
  welcomed: boolean;
  isOver: boolean;
  /** When the last byte came; 0 before the first. */
  heardAt: number;
  /** Asks for a sign of life. */
  probe(): void;
  /** Ends this connection without a word to the watcher. */
  discard(code?: number): void;
  /** Ends it, and says so. */
  lose(parting: Partial<Parting>, closeCode?: number): void;
  /** Sends the JSON of `h`. From there on what older connections bring is ignored. */
  hello(send: (json: string) => unknown): Promise<void>;
  /** Begins to watch for silence, from now. */
  listen(): void;
  /** Bytes came, perhaps with lines that are whole. */
  heard(heads?: string[]): void;
  /** Takes one line that is whole. */
  receive(head: string, octets?: Uint8Array): void;
  /** The server has taken all up to a number. */
  acknowledged(number: number): void;
}

const firstByteWithin = 5_000;
const welcomeWithin = 15_000;
const probeWithin = 5_000;

declare const VERSION: string;

export function createConnection(transport: Transport, session: Session, settings: Settings, watcher: Watcher): Connection {
  let started = 0;
  let probing = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const me: Connection = {
    transport,
    session,
    settings,
    welcomed: false,
    isOver: false,
    heardAt: 0,
    lose,
    receive,

    discard(code = 4000) {
      if (me.isOver) return;
      me.isOver = true;
      clearTimeout(timer);
      me.carrier?.shut(code);
    },

    probe() {
      if (!me.welcomed || probing || polls()) return;
      probing = Date.now();
      me.carrier!.control("p\n");
      watch();
    },

    async hello(send) {
      try {
        const hello = { client: "ape-js/" + VERSION, auth: await settings.auth(), poll: settings.poll };
        if (me.isOver) return;
        watcher.hello(me);
        await send(JSON.stringify({ ...hello, ...session.hello() }));
      } catch {
        lose({ code: "failed" });
      }
    },

    listen() {
      started = Date.now();
      me.heardAt = 0;
      watch();
    },

    heard(heads = []) {
      me.heardAt = Date.now();
      probing = 0;
      for (const head of heads) receive(head);
    },

    acknowledged(number) {
      if (!session.log.take(number)) mismatch();
    },
  };
  return me;

  function lose({ code = "lost", then = "resume", within = 0, told = false }: Partial<Parting>, closeCode?: number): void {
    if (me.isOver) return;
    me.discard(closeCode);
    watcher.lost(me, { code, then, within, told });
  }

  function polls(): boolean | undefined {
    return transport === "streaming" && settings.poll;
  }

  function mismatch(): void {
    lose({ code: "mismatch", then: "new" });
  }

  function receive(head: string, octets?: Uint8Array): void {
    if (!head || me.isOver) return;
    if (isCounted(head)) {
      // Its number is the next one: what was taken before is what the hello said.
      return me.welcomed ? session.take(head, octets) : mismatch();
    }
    const { op, id, payload } = parse(head);
    if (op === "w" && !me.welcomed) welcome(object(payload));
    else if (op === "a") me.acknowledged(id);
    else if (op === "p") me.carrier!.control(session.acks.write(true));
    else if (op === "q") quit(object(payload));
  }

  function welcome(json: Welcome): void {
    const info = session.welcome(json, transport === "websocket");
    if (!info) return mismatch();
    me.welcomed = true;
    watch();
    me.carrier!.flush(); // at once: a socket's lines are numbered from `got`, so all that may be acknowledged must be on it
    watcher.welcomed(me, info);
  }

  function quit({ code, then, within = 0 }: Partial<Parting>): void {
    if (code === "restart" && me.welcomed) watcher.goAway(within);
    else lose({ code, then, within, told: true });
  }

  function watch(): void {
    clearTimeout(timer);
    const silence = 2 * session.beat;
    let deadline = me.heardAt + silence;
    if (probing) deadline = probing + probeWithin;
    else if (!me.heardAt || !me.welcomed) deadline = started + (polls() ? silence : me.heardAt ? welcomeWithin : firstByteWithin);
    const left = deadline - Date.now();
    if (left > 0) timer = setTimeout(watch, left);
    else if (!me.carrier?.silent?.()) lose({ code: "silent" });
  }
}
