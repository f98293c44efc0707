// From values to what JSON.stringify can write, with tags in the keys.

import { bytesOf, toBase64 } from "./base64";
import { kindOf } from "./kind";
import { type Tag, bareKey, taggedKey } from "./tag";

type Path = (string | number)[];

/** A root that has a tag becomes an object with the bare tag as its only key. */
export function encodeValue(root: unknown): unknown {
  /** Where each object was first seen: it is written there, and pointed to from elsewhere. */
  const paths = new Map<unknown, Path>();
  const [tag, value] = tagged(root, []);
  return tag ? { [bareKey(tag)]: value } : value;

  function tagged(value: any, path: Path): [Tag, unknown] {
    if (value === undefined) return ["U", null];
    if (typeof value !== "object" || value === null) return ["", value];
    const bytes = bytesOf(value);
    if (bytes) return ["I", toBase64(bytes)];
    const kind = kindOf(value);
    if (kind === "Date") return ["D", value.getTime()];
    if (kind === "RegExp") return ["R", String(value)];
    if (kind === "Error") return ["E", [value.name, value.message, value.stack]];
    if (/^(Blob|File)$/.test(kind)) throw new TypeError(`ape: cannot send a ${kind}, send its arrayBuffer()`);
    const seen = paths.get(value);
    if (seen) return ["P", seen];
    paths.set(value, path);
    if (kind === "Map") return ["M", untagged(value)];
    if (kind === "Set") return ["S", untagged(value)];
    if (Array.isArray(value)) return items(value, path);
    if (typeof value.toJSON === "function") return tagged(value.toJSON(), path);
    return ["", members(Object.entries(value).filter(([, member]) => member !== undefined), path)];
  }

  function items(list: unknown[], path: Path): [Tag, unknown] {
    const pairs = Array.from(list, (item, i) => tagged(item, [...path, i]));
    const tags = pairs.map(([tag]) => tag);
    return [tags.some(Boolean) ? tags : "", pairs.map(([, plain]) => plain)];
  }

  function members(entries: [string, unknown][], path: Path): object {
    return Object.fromEntries(entries.map(([name, value]) => {
      const [tag, plain] = tagged(value, [...path, name]);
      return [taggedKey(name, tag), plain];
    }));
  }
}

/** The content of a set or a map as plain JSON: nobody looks for tags in there. Throws for cycles. */
function untagged(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, item) => {
    const kind = kindOf(item);
    if (kind === "Set") return [...item];
    if (kind === "Map") return Object.fromEntries(item);
    const bytes = bytesOf(item);
    return bytes ? toBase64(bytes) : item;
  }));
}
