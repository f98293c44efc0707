// A network with a WebSocket and a fetch that tests hold the other end of.

const lineOf = (lines) => lines.map((line) => line + "\n").join("");

/** The server's end of one connection; `lines` is what the client sent, without acknowledgements unless `acks`. */
class End {
  received = [];
  closed = undefined;

  get lines() {
    return this.received.filter((line) => !/^a \d+$/.test(line));
  }

  /** Takes what came since the last call. */
  take() {
    const { lines } = this;
    this.received = [];
    return lines;
  }
}

export class Network {
  /** All WebSockets that were opened, oldest first. */
  sockets = [];
  /** All GETs of …/poll. */
  gets = [];
  /** All POSTs. */
  posts = [];
  pings = 0;

  /** What happens to a new WebSocket: "open", "refuse", "hang". */
  socketsDo = "open";
  /** What happens to a new GET: "open" (200, first an empty line), "hang" (200, no byte), "refuse". */
  getsDo = "open";
  /** What happens to a POST: "wait" for the test, "refuse". */
  postsDo = "wait";
  pingAnswer = () => Response.json({ ok: true, ts: Date.now() });

  constructor() {
    const network = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocol) {
        super(url, protocol, network);
      }
    };
    this.fetch = (url, init) => this.#fetch(String(url), init);
  }

  get socket() {
    return this.sockets.at(-1)?.end;
  }

  get get() {
    return this.gets.at(-1);
  }

  get post() {
    return this.posts.at(-1);
  }

  #fetch(url, init) {
    if (url.endsWith("/ping")) {
      this.pings++;
      return new Promise((resolve, reject) => {
        init.signal.addEventListener("abort", () => reject(new Error("AbortError")));
        Promise.resolve().then(() => this.pingAnswer()).then(resolve, reject);
      });
    }
    if (init.method === "POST") return this.#post(url, init);
    const get = new Stream(url, init);
    this.gets.push(get);
    if (this.getsDo === "refuse") return Promise.reject(new TypeError("refused"));
    if (this.getsDo === "open") queueMicrotask(() => get.send(""));
    return get.response;
  }

  #post(url, init) {
    const post = new Post(url, init);
    this.posts.push(post);
    if (this.postsDo === "refuse") post.cut();
    return post.response;
  }
}

class FakeSocket {
  readyState = 0;

  constructor(url, protocol, network) {
    this.url = url;
    this.protocol = protocol;
    const end = (this.end = new End());
    const socket = this;
    Object.assign(end, {
      url,
      /** Sends lines in one text message. */
      send: (...lines) => socket.onmessage?.({ data: lineOf(lines) }),
      sendRaw: (data) => socket.onmessage?.({ data }),
      /** Closes from the server's side. */
      close(code) {
        if (end.closed !== undefined) return;
        end.closed = code;
        socket.readyState = 3;
        socket.onclose?.({ code, reason: "" });
      },
      cut: () => end.close(1006),
    });
    network.sockets.push(this);
    const doing = network.socketsDo;
    queueMicrotask(() => {
      if (end.closed !== undefined) return;
      if (doing === "refuse") return end.cut();
      if (doing !== "open") return;
      this.readyState = 1;
      this.onopen?.({});
      end.send("");
    });
  }

  send(data) {
    if (this.readyState !== 1) throw new Error("InvalidStateError: not open");
    this.end.messages = (this.end.messages ?? 0) + 1;
    if (typeof data === "string") {
      if (!data.endsWith("\n")) throw new Error("torn: " + data);
      this.end.received.push(...data.slice(0, -1).split("\n"));
    } else {
      const end = data.indexOf(10);
      this.end.received.push(new TextDecoder().decode(data.subarray(0, end)));
      this.end.octets = data.slice(end + 1);
    }
  }

  close(code = 1005) {
    if (code !== 1000 && code < 3000) throw new Error("InvalidAccessError: " + code);
    if (this.end.closed === undefined) this.end.closed = code;
    this.readyState = 3;
  }
}

/** A GET whose body goes on. */
class Stream extends End {
  #controller;
  aborted = false;

  constructor(url, { headers, signal }, status = 200) {
    super();
    this.url = url;
    this.headers = headers;
    this.hello = JSON.parse(headers["Ape-Hello"]);
    const body = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
    let respond;
    let fail;
    this.response = new Promise((resolve, reject) => ([respond, fail] = [resolve, reject]));
    this.answer = (status, text = "", more = {}) => {
      const headers = { "Ape-Protocol": "ape.1", ...more };
      if (!this.answered) respond(new Response(status === 200 ? body : text, { status, headers }));
      this.answered = true;
    };
    this.plain = (status, text) => respond(new Response(text, { status }));
    signal.addEventListener("abort", () => {
      this.aborted = true;
      fail(new Error("AbortError"));
      this.cut();
    });
  }

  send(...lines) {
    this.answer(200);
    if (!this.closed) this.#controller.enqueue(new TextEncoder().encode(lineOf(lines)));
  }

  sendRaw(bytes) {
    this.answer(200);
    this.#controller.enqueue(bytes);
  }

  end() {
    if (this.closed) return;
    this.closed = true;
    this.#controller.close();
  }

  cut() {
    if (this.closed) return;
    this.closed = true;
    this.#controller.error(new TypeError("network error"));
  }
}

class Post {
  constructor(url, init) {
    this.url = url;
    this.keepalive = init.keepalive ?? false;
    this.token = init.headers["Ape-Session"];
    this.seq = init.headers["Ape-Seq"];
    this.body = init.body;
    this.all = init.body.slice(0, -1).split("\n");
    this.lines = this.all.filter((line) => !/^a \d+$/.test(line));
    this.response = new Promise((resolve, reject) => {
      this.answer = (status, got, more = {}) =>
        resolve(
          new Response(status === 204 ? null : "", {
            status,
            headers: { "Ape-Protocol": "ape.1", ...(got === undefined ? {} : { "Ape-Got": String(got) }), ...more },
          }),
        );
      this.plain = (status) => resolve(new Response(status === 204 ? null : "", { status }));
      this.cut = () => reject(new TypeError("network error"));
    });
    init.signal?.addEventListener("abort", () => {
      this.aborted = true;
      this.cut();
    });
  }
}
