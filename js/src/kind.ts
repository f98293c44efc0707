// What a value is, also when it comes from another window, whose classes are not ours.

/** "Object" for a plain object, "Array", "Date", "Map", "Uint8Array" and so on; "Error" for every kind of error. */
export function kindOf(value: unknown): string {
  return value instanceof Error ? "Error" : Object.prototype.toString.call(value).slice(8, -1);
}
