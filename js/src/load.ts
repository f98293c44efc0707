// Loads the parts that few pages need: HTTP as a transport, answering calls of the server, sending streams.

import type { Parts } from "./more";

declare const STAMP: string;

/** Rejects when the file cannot be loaded. Its parts are undefined when it does not fit: the server may be newer than the page. */
export async function loadMore(): Promise<Parts> {
  const { parts } = await import("./more");
  return { ...parts[STAMP] };
}
