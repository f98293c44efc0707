// Whether the server can be reached by plain HTTP, or something else answers for it.

import type { Settings } from "./connection";
import { limited } from "./limited";

const answerWithin = 3_000;

export async function isReachable({ base, fetch }: Settings): Promise<boolean> {
  const answer = await limited(answerWithin, async (signal) => {
    const response = await fetch(base + "/ping", { cache: "no-store", credentials: "include", signal });
    return response.status === 200 ? response.json() : undefined;
  });
  // The clock of the answer is not compared with ours: one of them may simply be wrong.
  return answer?.ok === true && typeof answer.ts === "number";
}
