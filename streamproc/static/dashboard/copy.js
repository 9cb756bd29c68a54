/** A button that copies a text, and says whether it did. */

import { h } from "./dom.js";

const TOLD_MS = 2_000;

/** The button; `text()` is what it copies. */
export function copyButton(label, text) {
  let timer = 0;
  const element = h("button", { type: "button", class: "minor", "aria-live": "polite", onclick: copy }, label);
  async function copy() {
    const copied = await copyText(text(), element);
    element.textContent = copied ? "Copied" : "This browser refuses to";
    clearTimeout(timer);
    timer = setTimeout(() => {
      element.textContent = label;
    }, TOLD_MS);
  }
  return element;
}

/** A page that came by plain HTTP has no clipboard; there a selection is copied. */
async function copyText(text, beside) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = h("textarea", { class: "visually-hidden", readonly: true, "aria-hidden": "true", tabindex: "-1" });
  field.value = text;
  beside.after(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  beside.focus();
  return copied;
}
