// What the tests reach beyond the package's surface. Not shipped.

export { decode, encode } from "./codec";
export { isCounted, parse, writeName } from "./line";
export { createLog } from "./log";
