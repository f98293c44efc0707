// HTTP as a transport: a GET whose body goes on brings lines, POSTs carry them. Loaded when it is needed.

import { delay } from "./backoff";
import { object } from "./codec";
import type { Connection } from "./connection";
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

export function openStream(link: Connection): void {
  const { session, settings } = link;
  const { log, acks } = session;
  const gone = new AbortController();
  /** Welcomed once: POSTs may go, also while a further GET attaches. */
  let ready = false;
  let posting = false;
  let controls = "";

  link.carrier = {
    flush,
    control(line) {
      controls += line;
      flush();
    },
    bye() {
      link.discard();
      if (!ready) return;
      const entries = log.after(log.taken, lastBodySize);
      if (entries[0]?.size > lastBodySize) entries.length = 0;
      post(entries, 'q {"code":"bye"}\n', { keepalive: true }).catch(() => {});
    },
    shut: () => gone.abort(),
    /** A first response that shows nothing is being buffered on its way. */
    silent() {
      if (settings.poll || ready || link.heardAt) return false;
      settings.poll = true;
      link.lose({ code: "buffered" });
      return true;
    },
  };
  void attach(true);

  function flush(): void {
    ready ||= link.welcomed;
    if (ready && !posting) void posts();
  }

  /** Opens a GET, and the next one when it has ended. */
  async function attach(first: boolean): Promise<void> {
    const started = Date.now();
    link.welcomed = false;
    link.listen();
    await link.hello(async (hello) => {
      const headers = { "Ape-Protocol": "ape.1", "Ape-Hello": ascii(hello) };
      const response = await request({ headers, signal: gone.signal });
      if (response.status !== 200 || !isOurs(response)) return refused(response);
      const lines = await read(response.body!);
      // The end of a response is how polling works, and how a server spares a browser with many streams.
      const useful = first || lines > 1 || Date.now() - started >= shortest;
      if (link.welcomed && useful && !link.isOver) void attach(false);
      else link.lose({});
    });
  }

  /** Reads lines until the body ends. Returns how many there were. */
  async function read(body: ReadableStream<Uint8Array>): Promise<number> {
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
      link.heard(heads);
    }
  }

  /** The server said why, in a `q` line or by the status. */
  async function refused(response: Response): Promise<void> {
    const { status } = response;
    const { code = String(status), ...said } = object(/^q (.*)/.exec(await response.text())?.[1]);
    const told = isOurs(response);
    const then = told && (status === 400 || status === 403) ? "final" : "resume";
    link.lose({ then, within: retryAfter(response), told, ...said, code });
  }

  /** Sends what there is to send, one POST at a time. */
  async function posts(): Promise<void> {
    let limit = bodySize;
    posting = true;
    for (let failures = 0; !link.isOver; ) {
      const { epoch } = log;
      const { taken } = log;
      const entries = log.after(taken, limit);
      const response = await answer(entries);
      if (response === null) return void (posting = false);
      if (link.isOver || log.epoch !== epoch) continue;

      const status = response?.status;
      const got = Number(response?.headers.get("Ape-Got") ?? NaN);
      if (got >= 0) link.acknowledged(got);
      failures = log.taken > taken || (status === 204 && !entries.length) ? 0 : failures + 1;
      if (!failures) continue;
      acks.repeat();
      if (status === 409 && got < taken) return link.lose({ code: "mismatch", then: "new" });
      if (status === 410 || failures === mostFailures) return link.lose({});
      if (status === 413) {
        if (entries.length === 1) skip(entries[0]);
        limit = 1;
      } else {
        await sleep(Math.max(retryAfter(response), delay(failures)));
      }
    }
  }

  /** A line is too long for something on its way. What takes its place says nothing: the number must not be missing. */
  function skip(line: Entry): void {
    const failure = { code: "too_large", message: "too large for a server on the way" };
    session.calls.failSome(({ entry }) => entry === line, failure);
    line.head = "x 0";
    line.payload = undefined;
  }

  /** The response to a POST: null when there is nothing to send, undefined when none of our server's came in time. */
  async function answer(entries: Entry[]): Promise<Response | undefined | null> {
    const now = controls;
    controls = "";
    const response = await limited(answerWithin, (signal) => post(entries, now, { signal }), gone.signal);
    return !response || isOurs(response) || response.status === 413 ? response : undefined;
  }

  /** Sends lines, with what is to be acknowledged; null when there are none. */
  async function post(entries: Entry[], controls: string, init: RequestInit): Promise<Response | null> {
    const lines = entries.map(({ head, payload }) => writeLine(head, payload));
    const body = [acks.write(), ...lines, controls].join("");
    const headers: Record<string, string> = { "Ape-Session": session.token, "Ape-Protocol": "ape.1" };
    if (entries.length) headers["Ape-Seq"] = String(log.taken + 1);
    return body ? request({ method: "POST", body, headers, ...init }) : null;
  }

  function request(init: RequestInit): Promise<Response> {
    return settings.fetch(settings.base + "/poll", { cache: "no-store", credentials: "include", ...init });
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
