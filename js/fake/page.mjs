// What a browser gives a page beside the network: events, visibility, navigator. For one test.

export class Page {
  #target = new EventTarget();
  #before = new Map();

  constructor() {
    this.#set("addEventListener", this.#target.addEventListener.bind(this.#target));
    this.#set("removeEventListener", this.#target.removeEventListener.bind(this.#target));
    this.#set("document", { visibilityState: "visible" });
    this.#set("navigator", { onLine: true });
    this.#set("location", { href: "https://page.example/dir/index.html" });
  }

  fire(type, members = {}) {
    this.#target.dispatchEvent(Object.assign(new Event(type), members));
  }

  restore() {
    for (const [name, before] of this.#before) {
      if (before) Object.defineProperty(globalThis, name, before);
      else delete globalThis[name];
    }
  }

  #set(name, value) {
    this.#before.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
}
