// Type tags: the `<!D>` at the end of an object's key, and `<![D,,[D]]>` for the elements of an array.

/** A letter, a list for the elements of an array, or "" for a plain value. */
export type Tag = string | Tag[];

/** The key of an object's member. A plain one that looks tagged gets a tag that says nothing. */
export function taggedKey(name: string, tag: Tag): string {
  if (tag) return `${name}<!${tagText(tag)}>`;
  return name.includes("<!") ? name + "<!_>" : name;
}

/** Takes the last tag off a key. Text behind the tag belongs to nothing and is dropped. */
export function splitKey(key: string): [name: string, tag: Tag] {
  const end = key.lastIndexOf(">");
  const start = key.lastIndexOf("<!", end - 2);
  return start < 0 || end < start ? [key, ""] : [key.slice(0, start), parseTag(key.slice(start + 2, end))];
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
