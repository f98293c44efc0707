// A connection over WebSocket.

import { Connection, type Parting, type Settings, type Watcher } from "./connection";
import { parse, writeLine } from "./line";
import type { Entry } from "./log";
import type { Session } from "./session";

/** Bytes that are joined into one message: what is cut is repeated whole. */
const messageSize = 16 << 10;

export class SocketConnection extends Connection {
  readonly transport = "websocket";
  private socket!: WebSocket;
  private greeted = false;
  /** Number of the last line written here; -1 before the welcome. */
  private cursor = -1;

  constructor(
    session: Session,
    settings: Settings,
    watcher: Watcher,
    /** Says hello only when the server has sent a byte: until then the older connection goes on. */
    private readonly patient: boolean,
  ) {
    super(session, settings, watcher);
  }

  open(): void {
    const { WebSocket: Socket, base } = this.settings;
    this.listen();
    try {
      this.socket = new Socket!(base.replace(/^http/, "ws"), "ape.1");
    } catch {
      return void queueMicrotask(() => this.lose({ code: "blocked" }));
    }
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.patient || this.greet();
    this.socket.onmessage = ({ data }) => this.message(data);
    this.socket.onclose = ({ code }) => this.lose(partingOf(code));
  }

  flush(): void {
    if (!this.welcomed || this.dropped) return;
    const { log } = this.session;
    if (this.cursor < 0) this.cursor = log.taken;
    let text = this.session.acks.write();
    let entries: Entry[];
    do {
      entries = log.after(this.cursor, messageSize);
      this.cursor += entries.length;
      for (const { head, payload } of entries) {
        if (payload instanceof Uint8Array) {
          this.control(text);
          text = "";
          this.socket.send(join(`${head} =${payload.length}\n`, payload));
        } else {
          text += writeLine(head, payload);
        }
      }
      this.control(text);
      text = "";
    } while (entries.length);
  }

  bye(): void {
    if (this.welcomed) {
      this.flush();
      this.control('q {"code":"bye"}\n');
    }
    this.drop(1000);
  }

  protected control(text: string): void {
    if (text) this.socket.send(text);
  }

  protected shut(code: number): void {
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  private greet(): void {
    if (this.greeted) return;
    this.greeted = true;
    void this.hello((hello) => this.control(`h ${hello}\n`));
  }

  private message(data: string | ArrayBuffer): void {
    this.greet();
    const heads = typeof data === "string" ? data.split("\n") : [];
    const rest = heads.pop();
    this.heard(heads);
    const whole = typeof data === "string" ? !rest : this.binary(new Uint8Array(data));
    if (!whole) this.lose({ code: "torn" }, 4005);
  }

  private binary(data: Uint8Array): boolean {
    const decoder = new TextDecoder();
    for (let at = 0; at < data.length; ) {
      const end = data.indexOf(10, at);
      if (end < 0) return false;
      const head = decoder.decode(data.subarray(at, end));
      const [, size] = /^=(\d+)$/.exec(parse(head)?.payload ?? "") ?? [];
      at = end + 1 + Number(size ?? 0);
      if (at > data.length) return false;
      this.receive(head, size ? data.slice(end + 1, at) : undefined);
    }
    return true;
  }
}

/** What a close code says, when no `q` line said it. */
function partingOf(code: number): Partial<Parting> {
  const final = code === 1000 || code >= 4200;
  const renew = code >= 4100 || [1002, 1003, 1007, 1009, 1010].includes(code);
  return { code: String(code), then: final ? "final" : renew ? "new" : "resume", told: code >= 4000 };
}

function join(head: string, octets: Uint8Array): Uint8Array<ArrayBuffer> {
  const start = new TextEncoder().encode(head);
  const message = new Uint8Array(start.length + octets.length);
  message.set(start);
  message.set(octets, start.length);
  return message;
}
