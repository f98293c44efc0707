var __defProp = Object.defineProperty;
var __defNormalProp = (obj, key, value) => key in obj ? __defProp(obj, key, { enumerable: true, configurable: true, writable: true, value }) : obj[key] = value;
var __publicField = (obj, key, value) => __defNormalProp(obj, typeof key !== "symbol" ? key + "" : key, value);

// src/base64.ts
var chunk = 8192;
function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += chunk) {
    text += String.fromCharCode(...bytes.subarray(at, at + chunk));
  }
  return btoa(text);
}
function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
function bytesOf(value) {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  const isBuffer = Object.prototype.toString.call(value) === "[object ArrayBuffer]";
  return isBuffer ? new Uint8Array(value) : void 0;
}

// src/tag.ts
function bareKey(tag) {
  return `<!${tagText(tag)}>`;
}
function taggedKey(name, tag) {
  if (tag) return name + bareKey(tag);
  return name.includes("<!") ? name + "<!_>" : name;
}
function splitKey(key) {
  const end = key.lastIndexOf(">");
  const start = key.lastIndexOf("<!", end - 2);
  if (start < 0 || end < start) return [key, ""];
  return [key.slice(0, start), parseTag(key.slice(start + 2, end))];
}
function tagText(tag) {
  return typeof tag === "string" ? tag : `[${tag.map(tagText).join()}]`;
}
function parseTag(text) {
  if (text[0] !== "[") return text;
  const root = [];
  const outer = [];
  let list = root;
  let word = "";
  let nested = false;
  for (const char of text.slice(1)) {
    if (char === "[") {
      const inner = [];
      list.push(inner);
      outer.push(list);
      list = inner;
      nested = false;
    } else if (char === "," || char === "]") {
      if (!nested) list.push(word);
      word = "";
      nested = char === "]";
      if (nested) list = outer.pop() ?? [];
    } else {
      word += char;
    }
  }
  if (word) list.push(word);
  return root;
}

// src/encode.ts
function encodeValue(root) {
  const places = /* @__PURE__ */ new Map();
  return untagged(root, { key: "" });
  function untagged(value, place) {
    const [tag, plain] = tagged(value, place);
    return tag ? { [bareKey(tag)]: plain } : plain;
  }
  function tagged(value, place) {
    if (value === void 0) return ["U", null];
    if (typeof value !== "object" || value === null) return ["", value];
    const bytes = bytesOf(value);
    if (bytes) return ["I", toBase64(bytes)];
    const kind = value instanceof Error ? "Error" : Object.prototype.toString.call(value).slice(8, -1);
    if (kind === "Date") return ["D", value.getTime()];
    if (kind === "RegExp") return ["R", String(value)];
    if (kind === "Error") return ["E", [value.name, value.message, value.stack]];
    if (kind === "Blob" || kind === "File") {
      throw new TypeError(`ape: a ${kind} cannot be sent, send its arrayBuffer()`);
    }
    const seen = places.get(value);
    if (seen) return ["P", pathOf(seen)];
    places.set(value, place);
    if (kind === "Map") return ["M", mapMembers(value, place)];
    if (kind === "Set") return ["S", [...value].map((item, i) => untagged(item, { up: place, key: i }))];
    if (Array.isArray(value)) return items(value, place);
    if (typeof value.toJSON === "function") {
      return tagged(value.toJSON(), place);
    }
    return ["", members(value, place)];
  }
  function items(list, place) {
    const tags = [];
    const plain = [];
    for (let i = 0; i < list.length; i++) {
      [tags[i], plain[i]] = tagged(list[i], { up: place, key: i });
    }
    return [tags.some(Boolean) ? tags : "", plain];
  }
  function members(value, place) {
    const out = {};
    for (const key of Object.keys(value)) {
      if (value[key] !== void 0) add(out, key, value[key], place);
    }
    return out;
  }
  function mapMembers(map, place) {
    const out = {};
    for (const [key, value] of map) add(out, String(key), value, place);
    return out;
  }
  function add(out, name, value, place) {
    const [tag, plain] = tagged(value, { up: place, key: name });
    define(out, taggedKey(name, tag), plain);
  }
}
function define(target, key, value) {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}
function pathOf(place) {
  const path = [];
  for (let at = place; at.up; at = at.up) path.push(at.key);
  return path.reverse();
}

// src/decode.ts
function decodeValue(rawRoot) {
  const pointers = [];
  const elements = /* @__PURE__ */ new Map();
  let root;
  bare(rawRoot, (value) => root = value);
  for (const { path, place } of pointers) place(follow(path));
  for (const [set, list] of elements) list.forEach((item) => set.add(item));
  return root;
  function bare(raw, place) {
    const keys = typeof raw === "object" && raw !== null && !Array.isArray(raw) ? Object.keys(raw) : [];
    const [name, tag] = keys.length === 1 ? splitKey(keys[0]) : ["", ""];
    if (tag && !name) tagged(tag, raw[keys[0]], place);
    else tagged("", raw, place);
  }
  function tagged(tag, raw, place) {
    switch (tag) {
      case "D":
        return place(new Date(raw));
      case "R":
        return place(toRegExp(raw));
      case "E":
        return place(toError(raw));
      case "U":
        return place(void 0);
      case "I":
        return place(fromBase64(raw));
      case "P":
        if (!Array.isArray(raw)) throw new TypeError("ape: a pointer must be a path");
        place(void 0);
        pointers.push({ path: raw, place });
        return;
      case "M":
        return place(toMap(raw));
      case "S":
        return place(toSet(raw));
    }
    if (Array.isArray(raw)) place(toArray(raw, Array.isArray(tag) ? tag : []));
    else if (typeof raw === "object" && raw !== null) place(toObject(raw));
    else place(raw);
  }
  function toObject(raw) {
    const object = {};
    eachMember(raw, (name, value) => define(object, name, value));
    return object;
  }
  function toMap(raw) {
    const map = /* @__PURE__ */ new Map();
    eachMember(raw, (name, value) => map.set(name, value));
    return map;
  }
  function eachMember(raw, put) {
    for (const key of Object.keys(raw)) {
      const [name, tag] = splitKey(key);
      tagged(tag, raw[key], (value) => put(name, value));
    }
  }
  function toArray(raw, tags) {
    const list = [];
    raw.forEach((item, i) => tagged(tags[i] ?? "", item, (value) => list[i] = value));
    return list;
  }
  function toSet(raw) {
    const set = /* @__PURE__ */ new Set();
    const list = [];
    [...raw ?? []].forEach((item, i) => bare(item, (value) => list[i] = value));
    elements.set(set, list);
    return set;
  }
  function follow(path) {
    return path.reduce((holder, key) => {
      if (holder instanceof Map && holder.has(key)) return holder.get(key);
      const members = elements.get(holder) ?? holder;
      const open = Array.isArray(members) ? key !== "length" : isPlain(members);
      if (open && Object.prototype.hasOwnProperty.call(members, key)) return members[key];
      throw new TypeError("ape: a pointer leads nowhere");
    }, root);
  }
}
function isPlain(value) {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
function toRegExp(text) {
  const end = text.lastIndexOf("/");
  return text[0] === "/" && end > 0 ? new RegExp(text.slice(1, end), text.slice(end + 1)) : new RegExp(text);
}
function toError(raw) {
  if (!Array.isArray(raw)) throw new TypeError("ape: an error must be a list of name, message and stack");
  const [name, message, stack] = raw;
  const error = new Error(message);
  if (name !== "Error") error.name = name;
  error.stack = stack;
  return error;
}

// src/codec.ts
function encode(value) {
  return JSON.stringify(encodeValue(value));
}
function decode(text) {
  const raw = JSON.parse(text);
  return text.includes("<!") ? decodeValue(raw) : raw;
}

// src/line.ts
var fields = {
  ...{ h: "", w: "", p: "", q: "" },
  ...{ a: "i", r: "i", e: "i", x: "i", n: "i", z: "i", g: "ii" },
  ...{ c: "in", s: "in", u: "in", m: "n", b: "n" }
};
function isCounted(head) {
  return !/^([A-Z]|[hwapq]( |;|$))/.test(head);
}
function parse(head, octets) {
  let rest = head;
  const word = () => {
    const end = rest.indexOf(" ");
    const taken = end < 0 ? rest : rest.slice(0, end);
    rest = end < 0 ? void 0 : rest.slice(end + 1);
    return taken;
  };
  let [op, ...params] = word().split(";");
  const line = { op, id: NaN, name: "", params };
  try {
    for (const field of fields[op] ?? "i") {
      let value;
      [value, ...line.params] = word().split(";");
      if (field === "n") line.name = decodeURIComponent(value);
      else line.id = toNumber(value);
    }
    if (rest !== void 0) line.payload = octets ?? (rest[0] === "=" ? fromBase64(rest.slice(1)) : rest);
  } catch {
    return void 0;
  }
  return line;
}
function octetsAfter(head) {
  const words = head.split(" ");
  const hasPayload = words.length > (fields[words[0]] ?? "i").length + 1;
  const size = /^=(\d+)$/.exec(words[words.length - 1]);
  return hasPayload && size ? Number(size[1]) : void 0;
}
function writeName(name) {
  return name.replace(/^\//, "").replace(/[\0-\x20\x7f;%]/g, (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"));
}
function toNumber(text) {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) throw new RangeError("ape: not a number: " + text);
  return Number(text);
}

// src/error.ts
var ApeError = class extends Error {
  constructor(failure, path = "", cause) {
    super(failure.message || failure.code);
    __publicField(this, "code");
    /** Path or channel that failed; empty when the failure belongs to none. */
    __publicField(this, "path");
    /** What the server added for programs. */
    __publicField(this, "data");
    this.name = "ApeError";
    this.code = failure.code;
    this.path = path;
    this.data = failure.data;
    if (cause !== void 0) this.cause = cause;
  }
};

// src/log.ts
var bound = 1 << 20;
var Log = class {
  constructor() {
    __publicField(this, "entries", []);
    __publicField(this, "bytes", 0);
    __publicField(this, "withdrawn", 0);
    /** Number of the last line that the server has taken. */
    __publicField(this, "taken", 0);
    /** Number of the last line that was written. */
    __publicField(this, "written", 0);
  }
  /** Adds a line. Throws `overflow` when too much waits, unless the protocol itself needs the line. */
  add(head, payload, needed = false) {
    const size = new TextEncoder().encode(head).length + sizeOf(payload) + 2;
    if (!needed && this.bytes + size > bound) {
      throw new ApeError({ code: "overflow", message: "more than 1 MiB waits for the server" });
    }
    const entry = { head, payload, size, waiting: true };
    this.entries.push(entry);
    this.bytes += size;
    return entry;
  }
  /** Takes a line back. False when it has been written. */
  withdraw(entry) {
    if (!entry.waiting) return false;
    entry.waiting = false;
    entry.payload = void 0;
    this.bytes -= entry.size;
    entry.size = 0;
    this.withdrawn++;
    if (this.withdrawn * 2 > this.entries.length) this.sweep();
    return true;
  }
  /** The lines behind number `from`, at most `limit` bytes of them but at least one. They count as written. */
  after(from, limit) {
    this.sweep();
    const start = from - this.taken;
    let end = start;
    for (let size = 0; end < this.entries.length; end++) {
      size += this.entries[end].size;
      if (end > start && size > limit) break;
      this.entries[end].waiting = false;
    }
    this.written = Math.max(this.written, this.taken + end);
    return this.entries.slice(start, end);
  }
  /** The server has taken all up to `number`. False when it cannot have. */
  take(number) {
    if (!(number <= this.written)) return false;
    for (const entry of this.entries.splice(0, Math.max(0, number - this.taken))) this.bytes -= entry.size;
    this.taken = Math.max(this.taken, number);
    return true;
  }
  /** Puts a line that says nothing in the place of one that cannot get through. The number stays. */
  blank(entry) {
    this.bytes -= entry.size;
    Object.assign(entry, { head: "x 0", payload: void 0, size: 0 });
  }
  /** Begins again at number 1 and returns the lines that were never written, which are no longer in the log. */
  restart() {
    this.sweep();
    const waiting = this.entries.filter((entry) => entry.waiting);
    this.entries = [];
    this.bytes = this.taken = this.written = 0;
    return waiting;
  }
  /** Puts back what restart returned. */
  restore(waiting) {
    for (const entry of waiting) {
      this.entries.push(entry);
      this.bytes += entry.size;
    }
  }
  sweep() {
    if (!this.withdrawn) return;
    this.withdrawn = 0;
    const first = this.written - this.taken;
    this.entries = this.entries.filter((entry, i) => i < first || entry.waiting);
  }
};
function sizeOf(payload = "") {
  return typeof payload === "string" ? new TextEncoder().encode(payload).length : Math.ceil(payload.length / 3) * 4;
}
export {
  Log,
  decode,
  encode,
  isCounted,
  octetsAfter,
  parse,
  writeName
};
