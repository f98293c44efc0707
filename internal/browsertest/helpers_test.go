package browsertest_test

// helpers are defined in every page before anything else runs there.
const helpers = `
// until waits until test returns something truthy, which it returns.
window.until = async (test) => {
  for (;;) {
    const value = await test();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
// settle is a promise's outcome by way of then and catch, without which api-ape's clients do not report it.
window.settle = (promise) => new Promise((resolve, reject) => promise.then(resolve).catch(reject));
// failure is what a promise rejects with.
window.failure = (promise) => settle(promise).then((value) => { throw new Error("resolved: " + kind(value)); }, (error) => error);
// kind describes a value with the types that JSON does not have.
window.kind = (value) => {
  const list = (values) => [...values].map(kind).join(",");
  if (value === undefined) return "undefined";
  if (value instanceof Date) return "Date(" + value.getTime() + ")";
  if (value instanceof RegExp) return "RegExp(" + value + ")";
  if (value instanceof Error) return value.name + "(" + value.message + ")";
  if (value instanceof Set) return "Set(" + list(value) + ")";
  if (value instanceof Map) return "Map(" + list(value.entries()) + ")";
  if (value instanceof ArrayBuffer) return "ArrayBuffer(" + [...new Uint8Array(value)] + ")";
  if (value instanceof Uint8Array) return "Uint8Array(" + [...value] + ")";
  if (Array.isArray(value)) return "[" + list(value) + "]";
  if (value && typeof value === "object") return "{" + Object.keys(value).sort().map((key) => key + ":" + kind(value[key])).join(",") + "}";
  return JSON.stringify(value);
};
// texts is the text of every element that a selector finds.
window.texts = (selector) => [...document.querySelectorAll(selector)].map((found) => found.textContent.trim()).join("|");
`
