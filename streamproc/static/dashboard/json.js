/** JSON as people read it: indented, and with links where a text is an address of the web, and of nothing else. */

import { h } from "./dom.js";

const STRING = /"(?:[^"\\]|\\.)*"(:)?/g;

/** The nodes of a value. A text stands as it is, without quotes. */
export function readable(value) {
  if (typeof value === "string") return [linked(value, value)];
  const text = JSON.stringify(value, null, 2);
  const nodes = [];
  let from = 0;
  for (const { 0: token, 1: isName, index } of text.matchAll(STRING)) {
    const link = isName ? token : linked(token, JSON.parse(token));
    if (link === token) continue;
    nodes.push(text.slice(from, index), link);
    from = index + token.length;
  }
  return [...nodes, text.slice(from)];
}

/** A link where a text is an address by http or https, and else the text. */
function linked(shown, text) {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return shown;
  return h("a", { href: new URL(text).href, target: "_blank", rel: "noopener noreferrer" }, shown);
}
