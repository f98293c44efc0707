// The classic script: <script src="/api/ape.js"></script> sets window.api and connects.

import { baseOf } from "./base";
import { connectTo } from "./connect";

const { src } = (document.currentScript ?? {}) as { src?: string };

(globalThis as { api?: unknown }).api = connectTo(baseOf(src));
