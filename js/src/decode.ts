// From parsed JSON with tags in its keys to values.

import { fromBase64 } from "./base64";
import { define } from "./encode";
import { type Tag, bareTag, splitKey } from "./tag";

type Path = (string | number)[];

/** Puts a value where it belongs: known only when the pointers are followed. */
type Place = (value: unknown) => void;

export function decodeValue(rawRoot: unknown): unknown {
  const pointers: { path: Path; place: Place }[] = [];
  /** The elements of every set. A set is filled at the end, since pointers may be among them. */
  const elements = new Map<unknown, unknown[]>();

  let root: unknown;
  bare(rawRoot, (value) => (root = value));
  for (const { path, place } of pointers) place(follow(path));
  for (const [set, list] of elements) list.forEach((item) => (set as Set<unknown>).add(item));
  return root;

  /** Decodes a value that has no name: an object with a bare tag as its only key stands for a tagged value. */
  function bare(raw: unknown, place: Place): void {
    const entries = isPlain(raw) ? Object.entries(raw as object) : [];
    const tag = entries.length === 1 && bareTag(entries[0][0]);
    if (tag) tagged(tag, entries[0][1], place);
    else tagged("", raw, place);
  }

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
      case "M":
        return place(toMap(raw));
      case "S":
        return place(toSet(raw));
    }
    if (Array.isArray(raw)) place(toArray(raw, Array.isArray(tag) ? tag : []));
    else place(isPlain(raw) ? toObject(raw) : raw);
  }

  function toObject(raw: Record<string, unknown>): object {
    const object = {};
    eachMember(raw, (name, value) => define(object, name, value));
    return object;
  }

  function toMap(raw: Record<string, unknown>): Map<string, unknown> {
    const map = new Map<string, unknown>();
    eachMember(raw, (name, value) => map.set(name, value));
    return map;
  }

  function eachMember(raw: Record<string, unknown>, put: (name: string, value: unknown) => void): void {
    for (const [key, item] of Object.entries(raw)) {
      const [name, tag] = splitKey(key);
      tagged(tag, item, (value) => put(name, value));
    }
  }

  function toArray(raw: unknown[], tags: Tag[]): unknown[] {
    const list: unknown[] = [];
    raw.forEach((item, i) => tagged(tags[i] ?? "", item, (value) => (list[i] = value)));
    return list;
  }

  function toSet(raw: Iterable<unknown> | null): Set<unknown> {
    const set = new Set();
    const list: unknown[] = [];
    [...(raw ?? [])].forEach((item, i) => bare(item, (value) => (list[i] = value)));
    elements.set(set, list);
    return set;
  }

  /** Walks own members of decoded containers only: nothing that a prototype offers is data. */
  function follow(path: Path): unknown {
    return path.reduce((holder: any, key) => {
      if (holder instanceof Map && holder.has(key)) return holder.get(key);
      const members = elements.get(holder) ?? holder;
      const open = Array.isArray(members) ? key !== "length" : isPlain(members);
      if (open && Object.prototype.hasOwnProperty.call(members, key)) return members[key];
      throw new TypeError("ape: a <!P> leads nowhere");
    }, root);
  }
}

function isPlain(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
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
