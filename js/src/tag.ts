// Type tags: the `<!D>` at the end of an object's key, and `<![D,,[D]]>` for the elements of an array.

/** A letter, a list for the elements of an array, or "" for a plain value. */
export type Tag = string | Tag[];

/** Means nothing: protects a plain key that looks tagged, and gives the tag of an empty name something to stand behind. */
const dummy = "<!_>";
const onlyDummies = /^(<!_>)*$/;

/** The key of an object's member. */
export function taggedKey(name: string, tag: Tag): string {
  if (tag) return (onlyDummies.test(name) ? dummy : "") + name + bareKey(tag);
  return name.includes("<!") ? name + dummy : name;
}

/** The key that stands for the tag of a value without a name. */
export function bareKey(tag: Tag): string {
  return `<!${tagText(tag)}>`;
}

/** The tag of such a key; "" for any other. */
export function bareTag(key: string): Tag {
  const [, text = ""] = /^<!([DRESMUIP]|\[[^<]*)>$/.exec(key) ?? [];
  return parseTag(text);
}

/** Takes the last tag off a key. Text behind the tag belongs to nothing and is dropped. */
export function splitKey(key: string): [name: string, tag: Tag] {
  const end = key.lastIndexOf(">");
  const start = key.lastIndexOf("<!", end - 2);
  if (start < 1 || end < start) return [key, ""];
  const name = key.slice(0, start);
  const tag = parseTag(key.slice(start + 2, end));
  return [tag && tag !== "_" && onlyDummies.test(name) ? name.slice(dummy.length) : name, tag];
}

function tagText(tag: Tag): string {
  return Array.isArray(tag) ? `[${tag.map(tagText)}]` : tag;
}

/** Reads one tag in a single pass; brackets left open are closed by the end. */
function parseTag(text: string): Tag {
  const outer: Tag[][] = [];
  let list: Tag[] = [];
  let last: Tag = "";
  const close = () => {
    list.push(last);
    last = list;
    list = outer.pop() ?? [];
  };
  for (const char of text) {
    if (char === "[") {
      outer.push(list);
      list = [];
      last = "";
    } else if (char === ",") {
      list.push(last);
      last = "";
    } else if (char === "]") {
      close();
    } else if (typeof last === "string") {
      last += char;
    }
  }
  while (outer.length) close();
  return last;
}
