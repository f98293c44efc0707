// A connection over HTTP: a GET whose body goes on brings lines, POSTs carry them.

import { delay } from "./backoff";
import { Connection, object } from "./connection";
import { limited } from "./limited";
import { writeLine } from "./line";
import type { Entry } from "./log";

/** Bytes of lines in one POST. */
const bodySize = 64 << 10;
/** The same for the last one: what a browser lets a page send while it is leaving, less some room. */
const lastBodySize = 60 << 10;
const answerWithin = 10_000;
/** After so many POSTs without a good answer the connection counts as lost. */
const mostFailures = 3;
/** A response that brought nothing and ended sooner than this was no answer to a poll. */
const shortest = 1_000;

export class StreamingConnection extends Connection {
  readonly transport = "streaming";
  private readonly gone = new AbortController();
  /** Welcomed once: POSTs may go, also while a further GET attaches. */
  private ready = false;
  private posting = false;
  private controls = "";

  open(): void {
    void this.attach(true);
  }

  flush(): void {
    this.ready ||= this.welcomed;
    if (this.ready && !this.posting) void this.posts();
  }

  bye(): void {
    this.drop();
    if (!this.ready) return;
    const entries = this.session.log.after(this.session.log.taken, lastBodySize);
    if (entries[0]?.size > lastBodySize) entries.length = 0;
    this.post(entries, 'q {"code":"bye"}\n', { keepalive: true }).catch(() => {});
  }

  probe(): void {
    if (!this.settings.poll) super.probe();
  }

  protected control(line: string): void {
    this.controls += line;
    this.flush();
  }

  protected shut(): void {
    this.gone.abort();
  }

  protected patience(): [number, number] {
    const { beat } = this.session;
    return this.settings.poll ? [2 * beat, 2 * beat] : super.patience();
  }

  /** A first response that shows nothing is being buffered on its way. */
  protected silent(): void {
    if (this.settings.poll || this.ready || this.heardAt) return super.silent();
    this.settings.poll = true;
    this.lose({ code: "buffered" });
  }

  /** Opens a GET, and the next one when it has ended. */
  private async attach(first: boolean): Promise<void> {
    const started = Date.now();
    this.welcomed = false;
    this.listen();
    await this.hello(async (hello) => {
      const headers = { "Ape-Protocol": "ape.1", "Ape-Hello": ascii(hello) };
      const response = await this.request({ headers, signal: this.gone.signal });
      if (response.status !== 200 || !isOurs(response)) return this.refused(response);
      const lines = await this.read(response.body!);
      // The end of a response is how polling works, and how a server spares a browser with many streams.
      const useful = first || lines > 1 || Date.now() - started >= shortest;
      if (this.welcomed && useful && !this.dropped) void this.attach(false);
      else this.lose({});
    });
  }

  /** Reads lines until the body ends. Returns how many there were. */
  private async read(body: ReadableStream<Uint8Array>): Promise<number> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let lines = 0;
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return lines;
      const heads = decoder.decode(value, { stream: true }).split("\n");
      heads[0] = rest + heads[0];
      rest = heads.pop()!;
      lines += heads.filter(Boolean).length;
      this.heard(heads);
    }
  }

  /** The server said why, in a `q` line or by the status. */
  private async refused(response: Response): Promise<void> {
    const { status } = response;
    const { code = String(status), ...said } = object(/^q (.*)/.exec(await response.text())?.[1]);
    const told = isOurs(response);
    const then = told && (status === 400 || status === 403) ? "final" : "resume";
    this.lose({ then, within: retryAfter(response), told, ...said, code });
  }

  /** Sends what there is to send, one POST at a time. */
  private async posts(): Promise<void> {
    const { session } = this;
    const { log } = session;
    let limit = bodySize;
    this.posting = true;
    for (let failures = 0; !this.dropped; ) {
      const { epoch } = session;
      const { taken } = log;
      const entries = log.after(taken, limit);
      const response = await this.answer(entries);
      if (response === null) return void (this.posting = false);
      if (this.dropped || session.epoch !== epoch) continue;

      const status = response?.status;
      const got = Number(response?.headers.get("Ape-Got") ?? NaN);
      if (got >= 0) this.acknowledged(got);
      failures = log.taken > taken || (status === 204 && !entries.length) ? 0 : failures + 1;
      if (!failures) continue;
      session.acks.repeat();
      if (status === 409 && got < taken) return this.lose({ code: "mismatch", then: "new" });
      if (status === 410 || failures === mostFailures) return this.lose({});
      if (status === 413) {
        if (entries.length === 1) session.skip(entries[0]);
        limit = 1;
      } else {
        await sleep(Math.max(retryAfter(response), delay(failures)));
      }
    }
  }

  /** The response to a POST: null when there is nothing to send, undefined when none of our server's came in time. */
  private async answer(entries: Entry[]): Promise<Response | undefined | null> {
    const { controls } = this;
    this.controls = "";
    const response = await limited(answerWithin, (signal) => this.post(entries, controls, { signal }), this.gone.signal);
    return !response || isOurs(response) || response.status === 413 ? response : undefined;
  }

  /** Sends lines, with what is to be acknowledged; null when there are none. */
  private async post(entries: Entry[], controls: string, init: RequestInit): Promise<Response | null> {
    const { log, token } = this.session;
    const lines = entries.map(({ head, payload }) => writeLine(head, payload));
    const body = [this.session.acks.write(), ...lines, controls].join("");
    const headers: Record<string, string> = { "Ape-Session": token, "Ape-Protocol": "ape.1" };
    if (entries.length) headers["Ape-Seq"] = String(log.taken + 1);
    return body ? this.request({ method: "POST", body, headers, ...init }) : null;
  }

  private request(init: RequestInit): Promise<Response> {
    const { fetch, base } = this.settings;
    return fetch(base + "/poll", { cache: "no-store", credentials: "include", ...init });
  }
}

/** A header holds ASCII only. */
function ascii(json: string): string {
  return json.replace(/[\x7f-\uffff]/g, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"));
}

function isOurs(response: Response): boolean {
  return response.headers.get("Ape-Protocol") === "ape.1";
}

/** Milliseconds. */
function retryAfter(response?: Response): number {
  return 1000 * Number(response?.headers.get("Retry-After")) || 0;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
