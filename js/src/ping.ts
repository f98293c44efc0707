// Whether the server can be reached by plain HTTP, or something else answers for it.

import type { Settings } from "./connection";

const answerWithin = 3_000;

export async function isReachable({ base, fetch }: Settings): Promise<boolean> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), answerWithin);
  try {
    const response = await fetch(base + "/ping", { cache: "no-store", credentials: "include", signal: abort.signal });
    // The clock of the answer is not compared with ours: one of them may simply be wrong.
    const answer = await response.json();
    return response.status === 200 && answer.ok === true && typeof answer.ts === "number";
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
