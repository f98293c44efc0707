// A connection over HTTP: a GET whose body goes on brings lines, POSTs carry them.

import { delay } from "./backoff";
import { Connection, type Parting } from "./connection";
import { writeLine } from "./line";
import type { Entry } from "./log";

/** Bytes of lines in one POST. */
const bodySize = 64 << 10;
/** What a browser lets a page send while it is leaving, less room for the lines of control. */
const lastBodySize = 60 << 10;
const answerWithin = 10_000;
/** After so many POSTs without a good answer the connection counts as lost. */
const mostFailures = 3;
/** A response that brought nothing and ended sooner than this was no answer to a poll. */
const shortest = 1_000;

export class StreamingConnection extends Connection {
  readonly transport = "streaming";
  /** The GET under way. An older one does not count. */
  private get = new AbortController();
  private post: AbortController | undefined;
  /** Welcomed once: POSTs may go, also while a further GET attaches. */
  private ready = false;
  private controls = "";

  open(): void {
    void this.attach(true);
  }

  flush(): void {
    if (this.welcomed) this.ready = true;
    if (this.ready && !this.post && !this.dropped) void this.posts();
  }

  bye(): void {
    const { session } = this;
    const token = session.token;
    this.drop();
    if (!this.ready) return;
    const first = session.log.taken + 1;
    let entries = session.log.after(session.log.taken, lastBodySize);
    if (entries[0]?.size > lastBodySize) entries = [];
    const body = session.acknowledge() + textOf(entries) + 'q {"code":"bye"}\n';
    this.request({ method: "POST", body, keepalive: true, headers: headersOf(token, entries, first) }).catch(() => {});
  }

  probe(): void {
    if (!this.settings.poll) super.probe();
  }

  protected control(line: string): void {
    this.controls += line;
    this.flush();
  }

  protected shut(): void {
    this.get.abort();
    this.post?.abort();
  }

  protected patience(): [number, number] {
    const { beat } = this.session;
    return this.settings.poll ? [2 * beat, 2 * beat] : super.patience();
  }

  /** A first response that shows nothing is being buffered: poll. */
  protected silent(): void {
    if (this.settings.poll || this.ready || this.heardAt) return super.silent();
    this.settings.poll = true;
    void this.attach(true);
  }

  private async attach(first: boolean): Promise<void> {
    this.get.abort();
    const get = (this.get = new AbortController());
    const started = Date.now();
    this.welcomed = false;
    this.listen();
    await this.hello(async (hello) => {
      const headers = { "Ape-Protocol": "ape.1", "Ape-Hello": ascii(hello) };
      const response = await this.request({ headers, signal: get.signal });
      if (response.status !== 200 || !isOurs(response)) return this.refused(response);
      const lines = await this.read(response.body!);
      // The end of a response is how polling works, and how a server spares a browser with many streams.
      const useful = first || lines > 1 || Date.now() - started >= shortest;
      if (this.welcomed && useful) void this.attach(false);
      else this.lose({});
    });
  }

  /** Reads lines until the body ends. Returns how many there were. */
  private async read(body: ReadableStream<Uint8Array>, get: AbortController): Promise<number> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let lines = 0;
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || get !== this.get) return lines;
      this.heard();
      const heads = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = heads.pop()!;
      for (const head of heads) {
        if (this.dropped) return lines;
        if (head) lines++;
        this.receive(head);
      }
    }
  }

  /** Sends what there is to send, one POST at a time. */
  private async posts(): Promise<void> {
    const { session } = this;
    const { log } = session;
    const post = (this.post = new AbortController());
    let limit = bodySize;
    let failures = 0;
    while (!this.dropped) {
      const { epoch, token } = session;
      const taken = log.taken;
      const entries = log.after(taken, limit);
      const body = this.controls + session.acknowledge() + textOf(entries);
      if (!body) break;
      this.controls = "";
      const response = await this.answer(body, headersOf(token, entries, taken + 1));
      if (this.dropped) return;
      if (session.epoch !== epoch) continue;

      const got = Number(response?.headers.get("Ape-Got") ?? NaN);
      if (got >= 0) this.acknowledged(got);
      if (log.taken > taken || (response?.status === 204 && !entries.length)) {
        failures = 0;
        continue;
      }
      if (response?.status === 409 && got < taken) return this.lose({ code: "mismatch", then: "new" });
      session.unacknowledge();
      if (response?.status === 413) {
        if (entries.length === 1) session.drop(entries[0]);
        limit = 1;
        continue;
      }
      if (response?.status === 410 || ++failures >= mostFailures) return this.lose({});
      await sleep(Math.max(response ? retryAfter(response) : 0, delay(failures)), post.signal);
    }
    this.post = undefined;
  }

  /** The response to a POST; undefined when none came in time, or one that is not from our server. */
  private async answer(body: string, headers: Record<string, string>): Promise<Response | undefined> {
    const abort = new AbortController();
    const stop = () => abort.abort();
    const timer = setTimeout(stop, answerWithin);
    this.post!.signal.addEventListener("abort", stop);
    try {
      const response = await this.request({ method: "POST", body, headers, signal: abort.signal });
      return isOurs(response) || response.status === 413 ? response : undefined;
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
      this.post?.signal.removeEventListener("abort", stop);
    }
  }

  private request(init: RequestInit): Promise<Response> {
    const { fetch, base } = this.settings;
    return fetch(base + "/poll", { cache: "no-store", credentials: "include", ...init });
  }

  private async refusal(response: Response): Promise<Partial<Parting>> {
    const { status } = response;
    const final = isOurs(response) && (status === 400 || status === 403);
    const said = this.partingOf((await response.text()).split("\n")[0]) ?? { then: final ? "final" : "resume" };
    return { code: String(status), ...said, within: Math.max(said.within ?? 0, retryAfter(response)) };
  }
}

function textOf(entries: Entry[]): string {
  return entries.map(({ head, payload }) => writeLine(head, payload)).join("");
}

/** Without counted lines there is no first number. */
function headersOf(token: string, entries: Entry[], first: number): Record<string, string> {
  const headers = { "Ape-Protocol": "ape.1", "Ape-Session": token };
  return entries.length ? { ...headers, "Ape-Seq": String(first) } : headers;
}

/** A header holds ASCII only. */
function ascii(json: string): string {
  return json.replace(/[\x7f-\uffff]/g, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"));
}

function isOurs(response: Response): boolean {
  return response.headers.get("Ape-Protocol") === "ape.1";
}

function retryAfter(response: Response): number {
  return 1000 * Number(response.headers.get("Retry-After")) || 0;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
