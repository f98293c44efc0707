// src/kind.ts
function kindOf(value) {
  return value instanceof Error ? "Error" : Object.prototype.toString.call(value).slice(8, -1);
}

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
  return kindOf(value) === "ArrayBuffer" ? new Uint8Array(value) : void 0;
}

// src/tag.ts
var dummy = "<!_>";
var onlyDummies = /^(<!_>)*$/;
function taggedKey(name, tag) {
  if (tag) return (onlyDummies.test(name) ? dummy : "") + name + bareKey(tag);
  return name.includes("<!") ? name + dummy : name;
}
function bareKey(tag) {
  return `<!${tagText(tag)}>`;
}
function bareTag(key) {
  const [, text = ""] = /^<!([DRESMUIP]|\[[^<]*)>$/.exec(key) ?? [];
  return parseTag(text);
}
function splitKey(key) {
  const end = key.lastIndexOf(">");
  const start = key.lastIndexOf("<!", end - 2);
  if (start < 1 || end < start) return [key, ""];
  const name = key.slice(0, start);
  const tag = parseTag(key.slice(start + 2, end));
  return [tag && tag !== "_" && onlyDummies.test(name) ? name.slice(dummy.length) : name, tag];
}
function tagText(tag) {
  return Array.isArray(tag) ? `[${tag.map(tagText)}]` : tag;
}
function parseTag(text) {
  const outer = [];
  let list = [];
  let last = "";
  const close = () => {
    list.push(last);
    last = list;
    list = outer.pop() ?? [];
  };
  for (const char of text) {
    if (char === "[") {
      outer.push(list);
      list = [];
      last = "";
    } else if (char === ",") {
      list.push(last);
      last = "";
    } else if (char === "]") {
      close();
    } else if (typeof last === "string") {
      last += char;
    }
  }
  while (outer.length) close();
  return last;
}

// src/encode.ts
function encodeValue(root) {
  const paths = /* @__PURE__ */ new Map();
  const [tag, value] = tagged(root, []);
  return tag ? { [bareKey(tag)]: value } : value;
  function tagged(value2, path) {
    if (value2 === void 0) return ["U", null];
    if (typeof value2 !== "object" || value2 === null) return ["", value2];
    const bytes = bytesOf(value2);
    if (bytes) return ["I", toBase64(bytes)];
    const kind = kindOf(value2);
    if (kind === "Date") return ["D", value2.getTime()];
    if (kind === "RegExp") return ["R", String(value2)];
    if (kind === "Error") return ["E", [value2.name, value2.message, value2.stack]];
    if (/^(Blob|File)$/.test(kind)) throw new TypeError(`ape: cannot send a ${kind}, send its arrayBuffer()`);
    const seen = paths.get(value2);
    if (seen) return ["P", seen];
    paths.set(value2, path);
    if (kind === "Map") return ["M", untagged(value2)];
    if (kind === "Set") return ["S", untagged(value2)];
    if (Array.isArray(value2)) return items(value2, path);
    if (typeof value2.toJSON === "function") return tagged(value2.toJSON(), path);
    return ["", members(Object.entries(value2).filter(([, member]) => member !== void 0), path)];
  }
  function items(list, path) {
    const pairs = Array.from(list, (item, i) => tagged(item, [...path, i]));
    const tags = pairs.map(([tag2]) => tag2);
    return [tags.some(Boolean) ? tags : "", pairs.map(([, plain]) => plain)];
  }
  function members(entries, path) {
    return Object.fromEntries(entries.map(([name, value2]) => {
      const [tag2, plain] = tagged(value2, [...path, name]);
      return [taggedKey(name, tag2), plain];
    }));
  }
}
function untagged(value) {
  return JSON.parse(JSON.stringify(value, (_, item) => {
    const kind = kindOf(item);
    if (kind === "Set") return [...item];
    if (kind === "Map") return Object.fromEntries(item);
    const bytes = bytesOf(item);
    return bytes ? toBase64(bytes) : item;
  }));
}

// src/decode.ts
function decodeValue(rawRoot) {
  const pointers = [];
  const entries = isPlain(rawRoot) ? Object.entries(rawRoot) : [];
  const rootTag = entries.length === 1 ? bareTag(entries[0][0]) : "";
  let root;
  tagged(rootTag, rootTag ? entries[0][1] : rawRoot, (value) => root = value);
  for (const { path, place } of pointers) place(follow(path));
  return root;
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
        place(void 0);
        pointers.push({ path: raw, place });
        return;
      case "M":
        return place(new Map(Object.entries(raw)));
      case "S":
        return place(new Set(raw));
    }
    if (Array.isArray(raw)) place(toArray(raw, Array.isArray(tag) ? tag : []));
    else place(isPlain(raw) ? toObject(raw) : raw);
  }
  function toObject(raw) {
    const object = {};
    for (const [key, item] of Object.entries(raw)) {
      const [name, tag] = splitKey(key);
      tagged(tag, item, (value) => define(object, name, value));
    }
    return object;
  }
  function toArray(raw, tags) {
    const list = [];
    raw.forEach((item, i) => tagged(tags[i] ?? "", item, (value) => list[i] = value));
    return list;
  }
  function follow(path) {
    return path.reduce((holder, key) => {
      const open = Array.isArray(holder) || isPlain(holder);
      if (open && Object.prototype.propertyIsEnumerable.call(holder, key)) return holder[key];
      throw new TypeError("ape: a <!P> leads nowhere");
    }, root);
  }
}
function isPlain(value) {
  return kindOf(value) === "Object";
}
function toRegExp(text) {
  const [, source = text, flags] = /^\/([^]*)\/(\w*)$/.exec(text) ?? [];
  return new RegExp(source, flags);
}
function toError([name, message, stack]) {
  return Object.assign(new Error(message), { name, stack });
}
function define(object, key, value) {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

// src/codec.ts
function encode(value) {
  return JSON.stringify(encodeValue(value));
}
function decode(text) {
  const raw = JSON.parse(text);
  return /<!|\\u00/.test(text) ? decodeValue(raw) : raw;
}

// src/line.ts
function isCounted(head) {
  return !/^([A-Z]|[hwapq]( |;|$))/.test(head);
}
function parse(head) {
  const [op] = head.split(/[ ;]/, 1);
  const is = (ops) => op.length === 1 && ops.includes(op);
  const words = head.split(" ", is("csug") ? 3 : is("hwpq") ? 1 : 2);
  const end = words.join(" ").length;
  const [last, ...params] = words.pop().split(";");
  const [, first = "", second = ""] = [...words, last];
  const named = is("mb");
  return {
    op,
    id: named ? NaN : numberOf(first),
    name: decoded(named ? first : second),
    params,
    payload: head[end] && head.slice(end + 1)
  };
}
function numberOf(text) {
  return /^\d{1,16}$/.test(text) ? Number(text) : NaN;
}
function writeName(name) {
  const escape = (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  return name.replace(/[\0-\x20\x7f;%]/g, escape);
}
function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return "";
  }
}

// src/error.ts
var ApeError = class extends Error {
  constructor(failure, path = "", cause) {
    super(failure.message || failure.code);
    this.name = "ApeError";
    this.code = failure.code;
    this.path = path;
    this.data = failure.data;
    if (cause !== void 0) this.cause = cause;
  }
};

// src/log.ts
var bound = 1 << 20;
var mostHead = 32;
function createLog(wake) {
  let entries = /* @__PURE__ */ new Set();
  let bytes = 0;
  let written = 0;
  const crowd = [];
  const log = {
    /** Number of the last line that the server has taken. */
    taken: 0,
    /** Counts beginnings, so that what belongs to an older session can be told. */
    epoch: 0,
    /** The name of the server's table of keys. */
    keptBy: "",
    /** Adds a line. Throws `overflow` when too much waits, unless the protocol itself needs the line. */
    add(head, payload, needed = false) {
      const entry = { head, payload, size: sizeOf(head) + sizeOf(payload), waiting: true };
      if (!needed && bytes + entry.size > bound) {
        throw new ApeError({ code: "overflow", message: "more than 1 MiB waits for the server" });
      }
      keep(entry);
      wake();
      return entry;
    },
    /** Takes a line back. False when it has been written. */
    withdraw(entry) {
      if (!entry.waiting) return false;
      entry.waiting = false;
      remove(entry);
      return true;
    },
    /** The lines behind number `from`, at most `limit` bytes of them but at least one. They count as written. */
    after(from, limit) {
      const found = [];
      let number = log.taken;
      for (const entry of entries) {
        if (number++ < from) continue;
        limit -= entry.size;
        if (found.length && limit < 0) break;
        found.push(entry);
        entry.waiting = false;
        entry.sent ?? (entry.sent = Date.now());
        entry.keptBy ?? (entry.keptBy = log.keptBy);
      }
      written = Math.max(written, from + found.length);
      return found;
    },
    /** The server has taken all up to `number`. False when it cannot have. */
    take(number) {
      if (!(number <= written)) return false;
      for (const entry of entries) {
        if (log.taken >= number) break;
        log.taken++;
        remove(entry);
      }
      return true;
    },
    /** Waits until a stream may add an item to what waits: half of the room is left to everything else. */
    async room(item) {
      const size = Math.max(bound / 2, sizeOf(item) + mostHead);
      while (bytes && bytes + size > bound) await new Promise((go) => crowd.push(go));
    },
    /**
     * Begins again at number 1: `first` adds lines, those that were never written follow, but for those that are about
     * something of the old session.
     */
    restart(first) {
      const old = entries;
      entries = /* @__PURE__ */ new Set();
      bytes = written = log.taken = 0;
      log.epoch++;
      first();
      for (const entry of old) if (entry.waiting && /^[csum] /.test(entry.head)) keep(entry);
    }
  };
  return log;
  function keep(entry) {
    entries.add(entry);
    bytes += entry.size;
  }
  function remove(entry) {
    entries.delete(entry);
    bytes -= entry.size;
    entry.payload = void 0;
    crowd.splice(0).forEach((go) => go());
  }
}
function sizeOf(text = "") {
  return typeof text === "string" ? new TextEncoder().encode(text).length + 1 : text.length * 4 / 3;
}
export {
  createLog,
  decode,
  encode,
  isCounted,
  parse,
  writeName
};
