// The module: ape.mjs, ape.cjs and the npm package.

import { baseOf } from "./base";
import { type ConnectOptions, connectTo, lazy } from "./connect";
import { createApi } from "./proxy";

export { ApeError } from "./error";

const base = baseOf(import.meta.url);

export function connect(url: string = base, options?: ConnectOptions): any {
  return connectTo(url, options);
}

/** The page's own server. It connects when it is used, so importing has no effect. */
export default createApi(lazy(base));
