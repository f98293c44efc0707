// The surface: every property is a path, every call of one a call or a subscription.

import type { Client } from "./client";

/** Never paths: languages and libraries ask every object for these. Client.call reaches a path of that name. */
const never = new Set(["then", "toJSON", "inspect"]);

export function createApi(client: Client): any {
  const root: object = {
    __proto__: null,
    $: client,
    on: client.on,
    setOnReceiver: client.on,
    onConnectionChange: client.onConnectionChange,
    get transport() {
      return client.transport;
    },
  };
  return path(client, "", root);
}

/** Text that begins with a slash stays data when nothing but options follows. */
const isOptions = (value: unknown): boolean =>
  !!value && typeof value === "object" && /^((timeout|signal|key|window)(,|$))+$/.test(Object.keys(value).join());

function path(client: Client, name: string, reserved?: any): unknown {
  const call = (...args: unknown[]): unknown => {
    const [first, ...rest] = args;
    const isSuffix =
      typeof first === "string" && first[0] === "/" && rest.length > 0 && !(rest.length < 2 && isOptions(rest[0]));
    const full = isSuffix ? name + first : name;
    const [data, options] = isSuffix ? rest : args;
    if (typeof data === "function" && options === undefined) return client.subscribe(full, data as () => void);
    return client.call(full, data, options as object);
  };
  return new Proxy(call, {
    get(_, key) {
      if (reserved && key in reserved) return reserved[key];
      if (key === Symbol.toPrimitive) return () => `[ape ${name}]`;
      if (typeof key === "symbol" || never.has(key)) return undefined;
      return path(client, name ? `${name}/${key}` : key);
    },
  });
}
