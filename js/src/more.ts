// What is loaded when it is first needed.

import { createPump } from "./pump";
import { createServing } from "./serving";
import { openStream } from "./streaming";

declare const STAMP: string;

export type Parts = { createPump: typeof createPump; createServing: typeof createServing; openStream: typeof openStream };

/** Under the stamp of the build that they fit. */
export const parts: Record<string, Parts> = { [STAMP]: { createPump, createServing, openStream } };
