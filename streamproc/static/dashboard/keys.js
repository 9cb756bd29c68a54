/** The keys of a list of jobs, and a dialog that tells of them. */

import { h } from "./dom.js";

const KEYS = [["↓ or j", "next job"], ["↑ or k", "the one before"], ["Home, End", "first, last"], ["Enter", "open the job"], ["/", "search"],
  ["Esc", "leave the search, or the list"], ["?", "these keys"]];

/**
 * Listen for them, until `close`. `list` is the one that they move in, `length()` of it; `search` the field.
 * `button` shows the dialog too.
 */
export function listKeys(list, length, search) {
  const done = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const title = h("h2", { id: "keys-title" }, "Keys");
  const dialog = h("dialog", { class: "keys", "aria-labelledby": title.id }, title,
    h("dl", {}, ...KEYS.flatMap(([key, what]) => [h("dt", {}, key), h("dd", {}, what)])), done);
  const show = () => dialog.showModal();
  const button = h("button", { type: "button", class: "keys-button", "aria-keyshortcuts": "?", onclick: show }, "Keys");

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "Escape") event.target.blur();
    if (isTyping) return;
    const work = { "/": () => search.focus(), "?": show }[event.key] ?? step(event.key);
    if (!work) return;
    event.preventDefault();
    work();
  }

  function step(key) {
    const last = length() - 1;
    const at = list.focused();
    const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: last }[key];
    return to === undefined || last < 0 ? null : () => list.focus(Math.min(last, Math.max(0, to)));
  }

  document.addEventListener("keydown", press);
  return { button, dialog, close: () => document.removeEventListener("keydown", press) };
}
