// WebSocket as a transport.

import type { Connection, Parting } from "./connection";
import { parse, writeLine } from "./line";

/** Bytes that are joined into one message: what is cut is repeated whole. */
const messageSize = 16 << 10;

/** Patient: says hello only when the server has sent a byte. Until then the older connection goes on. */
export function openSocket(link: Connection, patient: boolean): void {
  const { session, settings, receive, lose } = link;
  const { log, acks } = session;
  let greeted = false;
  /** Number of the last line written here; -1 before the welcome. */
  let cursor = -1;
  let socket: WebSocket;

  try {
    socket = new settings.WebSocket!(settings.base.replace(/^http/, "ws"), "ape.1");
  } catch {
    return queueMicrotask(() => lose({ code: "blocked" }));
  }
  socket.binaryType = "arraybuffer";
  socket.onopen = () => patient || greet();
  socket.onclose = ({ code }) => lose(partingOf(code));
  socket.onmessage = ({ data }) => {
    greet();
    const isText = typeof data === "string";
    const heads = isText ? data.split("\n") : [];
    const rest = heads.pop();
    link.heard(heads);
    if (isText ? rest : !takeBinary(new Uint8Array(data))) lose({ code: "torn" }, 4005);
  };
  link.carrier = {
    flush,
    control,
    bye() {
      if (link.welcomed) {
        flush();
        control('q {"code":"bye"}\n');
      }
      link.discard(1000);
    },
    shut(code) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    },
  };

  function greet(): void {
    if (greeted) return;
    greeted = true;
    void link.hello((hello) => control(`h ${hello}\n`));
  }

  function control(text: string): void {
    if (text) socket.send(text);
  }

  function flush(): void {
    if (!link.welcomed || link.isOver) return;
    if (cursor < 0) cursor = log.taken;
    let text = acks.write();
    for (let more = true; more; ) {
      const entries = log.after(cursor, messageSize);
      cursor += entries.length;
      for (const { head, payload } of entries) {
        if (payload instanceof Uint8Array) {
          control(text);
          text = "";
          socket.send(join(`${head} =${payload.length}\n`, payload));
        } else {
          text += writeLine(head, payload);
        }
      }
      control(text);
      text = "";
      more = entries.length > 0;
    }
  }

  /** False when the message is torn. */
  function takeBinary(data: Uint8Array): boolean {
    const decoder = new TextDecoder();
    for (let at = 0; at < data.length; ) {
      const end = data.indexOf(10, at);
      if (end < 0) return false;
      const head = decoder.decode(data.subarray(at, end));
      const [, size] = /^=(\d+)$/.exec(parse(head).payload ?? "") ?? [];
      at = end + 1 + Number(size ?? 0);
      if (at > data.length) return false;
      receive(head, size ? data.slice(end + 1, at) : undefined);
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
