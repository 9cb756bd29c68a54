/** One thing of a list as a whole, below the list: its facts, its text, a way to copy it and to close it again. */

import { copyButton } from "./copy.js";
import { h, say } from "./dom.js";

/** The place for it. `show({title, note, text}, from)` fills it, and `from` gets the focus back. */
export function detail(label) {
  const title = h("h3", { dir: "auto" });
  const note = h("p", { class: "quiet", dir: "auto" });
  const text = h("pre", { class: "whole", tabindex: "0", role: "region", "aria-label": label, dir: "auto" });
  const close = h("button", { type: "button", class: "minor", onclick: hide }, "Close");
  const top = h("div", { class: "detail-head" }, title, copyButton("Copy", () => text.textContent), close);
  const element = h("div", { class: "detail", hidden: true }, top, note, text);
  let back = null;

  function hide() {
    element.hidden = true;
    if (back?.isConnected) back.focus({ preventScroll: true });
  }

  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  return {
    element,
    show(wanted, from = null) {
      element.hidden = false;
      back = from;
      say(title, wanted.title);
      say(note, wanted.note);
      say(text, wanted.text);
      element.scrollIntoView({ block: "nearest" });
    },
    update(wanted) {
      say(note, wanted.note);
      say(text, wanted.text);
    },
    get isOpen() {
      return !element.hidden;
    },
  };
}
