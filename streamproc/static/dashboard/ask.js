/** Questions before something is done that can't be undone. */

import { h } from "./dom.js";

let asked = 0;

/**
 * A dialog with a form. `ask(about)` opens it, and resolves to whether it was agreed to.
 *
 * @param yes, no what its buttons say
 * @param fields what stands between the question and the buttons
 */
export function dialog(title, { yes = null, no, fields = [] }) {
  const id = `dialog-${++asked}`;
  const text = h("p", { dir: "auto" });
  const element = h("dialog", { class: "asking", "aria-labelledby": id }, h("form", { method: "dialog" }, h("h2", { id, dir: "auto" }, title),
    text, ...fields,
    h("div", { class: "buttons" }, yes && h("button", { value: "yes", class: "main-button" }, yes), h("button", { value: "no", formnovalidate: true }, no))));
  // A click beside it closes it; one within it never lands on the dialog itself, but on what fills it.
  element.addEventListener("click", (event) => event.target === element && element.close("no"));
  document.body.append(element);
  return {
    element,
    ask(about) {
      text.textContent = about;
      element.returnValue = "no";
      element.showModal();
      return new Promise((resolve) => {
        element.addEventListener("close", () => resolve(element.returnValue === "yes"), { once: true });
      });
    },
    remove: () => element.remove(),
  };
}
