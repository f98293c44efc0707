// What every connection does, over whichever transport: hello, welcome, numbers, silence, parting.

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

const firstByteWithin = 5_000;
const welcomeWithin = 15_000;
const probeWithin = 5_000;

declare const VERSION: string;

export abstract class Connection {
  abstract readonly transport: Transport;
  welcomed = false;

  protected dropped = false;
  /** When the last byte came; 0 before the first. */
  protected heardAt = 0;
  private started = 0;
  private probing = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    protected readonly session: Session,
    protected readonly settings: Settings,
    protected readonly watcher: Watcher,
  ) {}

  abstract open(): void;
  /** Writes what the log and the acknowledgements hold. */
  abstract flush(): void;
  /** Ends the session: nothing can be received any more. */
  abstract bye(): void;
  /** Sends a line that is not counted. */
  protected abstract control(line: string): void;
  /** Lets go of socket and requests; the server keeps the session. */
  protected abstract shut(code: number): void;

  /** Ends this connection without a word to the watcher. */
  drop(code = 4000): void {
    if (this.dropped) return;
    this.dropped = true;
    clearTimeout(this.timer);
    this.shut(code);
  }

  /** Asks for a sign of life. */
  probe(): void {
    if (!this.welcomed || this.probing) return;
    this.probing = Date.now();
    this.control("p\n");
    this.watch();
  }

  /** Sends the JSON of `h`. From there on what older connections bring is ignored. */
  protected async hello(send: (json: string) => unknown): Promise<void> {
    try {
      const { auth, poll } = this.settings;
      const hello = { client: "ape-js/" + VERSION, auth: await auth(), poll };
      if (this.dropped) return;
      this.watcher.hello(this);
      await send(JSON.stringify({ ...hello, ...this.session.hello() }));
    } catch (error) {
      this.lose({ code: "failed" });
    }
  }

  /** Bytes came, perhaps with lines that are whole. */
  protected heard(heads: string[] = []): void {
    this.heardAt = Date.now();
    this.probing = 0;
    for (const head of heads) this.receive(head);
  }

  /** Begins to watch for silence, from now. */
  protected listen(): void {
    this.started = Date.now();
    this.heardAt = 0;
    this.watch();
  }

  /** How long the first byte and the welcome may take. */
  protected patience(): [firstByte: number, welcome: number] {
    return [firstByteWithin, welcomeWithin];
  }

  /** Nothing came for too long. */
  protected silent(): void {
    this.lose({ code: "silent" });
  }

  protected lose(parting: Partial<Parting>, closeCode?: number): void {
    if (this.dropped) return;
    this.drop(closeCode);
    const { code = "lost", then = "resume", within = 0, told = false } = parting;
    this.watcher.lost(this, { code, then, within, told });
  }

  /** Takes one line that is whole. */
  protected receive(head: string, octets?: Uint8Array): void {
    if (!head || this.dropped) return;
    if (isCounted(head)) {
      // Its number is the next one: what was taken before is what the hello said.
      if (this.welcomed) this.session.take(head, octets);
      else this.lose({ code: "mismatch", then: "new" });
      return;
    }
    const { op, id, payload } = parse(head)!; // it has no name
    if (op === "w" && !this.welcomed) this.welcome(object(payload));
    else if (op === "a") this.acknowledged(id);
    else if (op === "p") this.control(this.session.acks.write(true));
    else if (op === "q") this.quit(object(payload));
  }

  /** The server has taken all up to a number. */
  protected acknowledged(number: number): void {
    if (!this.session.log.take(number)) this.lose({ code: "mismatch", then: "new" });
  }

  private welcome(welcome: Welcome): void {
    const info = this.session.welcome(welcome, this.transport === "websocket");
    if (!info) return this.lose({ code: "mismatch", then: "new" });
    this.welcomed = true;
    this.watch();
    this.flush(); // at once: a socket's lines are numbered from `got`, so all that may be acknowledged must be on it
    this.watcher.welcomed(this, info);
  }

  private quit({ code, then, within = 0 }: Partial<Parting>): void {
    if (code === "restart" && this.welcomed) this.watcher.goAway(within);
    else this.lose({ code, then, within, told: true });
  }

  private watch(): void {
    clearTimeout(this.timer);
    const [firstByte, welcome] = this.patience();
    let deadline = this.heardAt + 2 * this.session.beat;
    if (this.probing) deadline = this.probing + probeWithin;
    else if (!this.heardAt) deadline = this.started + firstByte;
    else if (!this.welcomed) deadline = this.started + welcome;
    const left = deadline - Date.now();
    if (left <= 0) this.silent();
    else this.timer = setTimeout(() => this.watch(), left);
  }
}

/** The object that a line carries; an empty one when it carries something else. */
export function object(text = ""): any {
  try {
    return { ...JSON.parse(text) };
  } catch {
    return {};
  }
}
