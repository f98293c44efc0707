// Where the server is.

const standard = "/api/ape";

/** The base that a script's own URL tells: …/ape.js and …/ape.mjs stand beside …/ape. */
export function baseOf(script: string | undefined): string {
  const served = /^(https?:.*\/ape)\.m?js([?#]|$)/.exec(script ?? "");
  return served && !script!.includes("/node_modules/") ? served[1] : standard;
}

/** An absolute http URL without a slash at its end. Throws when there is no page that a relative one could mean. */
export function absolute(url: string): string {
  const page = globalThis.location?.href;
  try {
    return new URL(url.replace(/^ws/, "http"), page).href.replace(/\/$/, "");
  } catch {
    throw new TypeError(`ape: connect needs an absolute URL, not ${url}`);
  }
}
