// From parsed JSON with tags in its keys to values.

import { fromBase64 } from "./base64";
import { kindOf } from "./kind";
import { type Tag, bareTag, splitKey } from "./tag";

type Path = (string | number)[];

/** Puts a value where it belongs: known only when the pointers are followed. */
type Place = (value: unknown) => void;

export function decodeValue(rawRoot: unknown): unknown {
  const pointers: { path: Path; place: Place }[] = [];

  // An object with a bare tag as its only key stands for a tagged root.
  const entries = isPlain(rawRoot) ? Object.entries(rawRoot as object) : [];
  const rootTag = entries.length === 1 ? bareTag(entries[0][0]) : "";
  let root: unknown;
  tagged(rootTag, rootTag ? entries[0][1] : rawRoot, (value) => (root = value));
  for (const { path, place } of pointers) place(follow(path));
  return root;

  function tagged(tag: Tag, raw: any, place: Place): void {
    switch (tag) {
      case "D":
        return place(new Date(raw));
      case "R":
        return place(toRegExp(raw));
      case "E":
        return place(toError(raw));
      case "U":
        return place(undefined);
      case "I":
        return place(fromBase64(raw));
      case "P":
        place(undefined);
        pointers.push({ path: raw, place });
        return;
      case "M": // what it holds has no tags, as in a set
        return place(new Map(Object.entries(raw)));
      case "S":
        return place(new Set(raw));
    }
    if (Array.isArray(raw)) place(toArray(raw, Array.isArray(tag) ? tag : []));
    else place(isPlain(raw) ? toObject(raw) : raw);
  }

  function toObject(raw: Record<string, unknown>): object {
    const object = {};
    for (const [key, item] of Object.entries(raw)) {
      const [name, tag] = splitKey(key);
      tagged(tag, item, (value) => define(object, name, value));
    }
    return object;
  }

  function toArray(raw: unknown[], tags: Tag[]): unknown[] {
    const list: unknown[] = [];
    raw.forEach((item, i) => tagged(tags[i] ?? "", item, (value) => (list[i] = value)));
    return list;
  }

  /** Walks own members of objects and arrays only: nothing that a prototype offers is data. */
  function follow(path: Path): unknown {
    return path.reduce((holder: any, key) => {
      const open = Array.isArray(holder) || isPlain(holder);
      if (open && Object.prototype.propertyIsEnumerable.call(holder, key)) return holder[key];
      throw new TypeError("ape: a <!P> leads nowhere");
    }, root);
  }
}

function isPlain(value: unknown): boolean {
  return kindOf(value) === "Object";
}

/** `/source/flags`; without slashes all of it is the source. */
function toRegExp(text: string): RegExp {
  const [, source = text, flags] = /^\/([^]*)\/(\w*)$/.exec(text) ?? [];
  return new RegExp(source, flags);
}

/** Always an Error, whatever its name: a page's other classes of errors are not the sender's to choose. */
function toError([name, message, stack]: string[]): Error {
  return Object.assign(new Error(message), { name, stack });
}

/** Assigns also where the key is `__proto__`, which is data like any other. */
function define(object: object, key: string, value: unknown): void {
  if (key !== "__proto__") (object as Record<string, unknown>)[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}
