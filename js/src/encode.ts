// From values to what JSON.stringify can write, with tags in the keys.

import { bytesOf, toBase64 } from "./base64";
import { type Tag, bareKey, taggedKey } from "./tag";

type Path = (string | number)[];
type Members = Record<string, unknown>;

/** A value without a key, the root or an element of a set, that has a tag becomes an object with the bare tag as its only key. */
export function encodeValue(root: unknown): unknown {
  /** Where each object was first seen: it is written there, and pointed to from elsewhere. */
  const paths = new Map<unknown, Path>();
  return bare(root, []);

  function bare(value: unknown, path: Path): unknown {
    const [tag, plain] = tagged(value, path);
    return tag ? { [bareKey(tag)]: plain } : plain;
  }

  function tagged(value: any, path: Path): [Tag, unknown] {
    if (value === undefined) return ["U", null];
    if (typeof value !== "object" || value === null) return ["", value];
    const bytes = bytesOf(value);
    if (bytes) return ["I", toBase64(bytes)];
    const kind = value instanceof Error ? "Error" : Object.prototype.toString.call(value).slice(8, -1);
    if (kind === "Date") return ["D", value.getTime()];
    if (kind === "RegExp") return ["R", String(value)];
    if (kind === "Error") return ["E", [value.name, value.message, value.stack]];
    if (kind === "Blob" || kind === "File") throw new TypeError(`ape: cannot send a ${kind}, send its arrayBuffer()`);
    const seen = paths.get(value);
    if (seen) return ["P", seen];
    paths.set(value, path);
    if (kind === "Map") return ["M", members(value, path)];
    if (kind === "Set") return ["S", [...value].map((item, i) => bare(item, [...path, i]))];
    if (Array.isArray(value)) return items(value, path);
    if (typeof value.toJSON === "function") return tagged(value.toJSON(), path);
    return ["", members(Object.entries(value).filter(([, member]) => member !== undefined), path)];
  }

  function items(list: unknown[], path: Path): [Tag, unknown] {
    const pairs = Array.from(list, (item, i) => tagged(item, [...path, i]));
    const tags = pairs.map(([tag]) => tag);
    return [tags.some(Boolean) ? tags : "", pairs.map(([, plain]) => plain)];
  }

  function members(entries: Iterable<[unknown, unknown]>, path: Path): Members {
    const out: Members = {};
    for (const [key, value] of entries) {
      const name = String(key);
      const [tag, plain] = tagged(value, [...path, name]);
      define(out, taggedKey(name, tag), plain);
    }
    return out;
  }
}

/** Assigns also where the key is `__proto__`, which is data like any other. */
export function define(object: object, key: string, value: unknown): void {
  if (key !== "__proto__") (object as Members)[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}
