/** What a worker told of its job: what came of it, and what else there is to know. */

import { copyButton } from "./copy.js";
import { h } from "./dom.js";
import { readable } from "./json.js";

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** A field of the snapshot as JSON, where there is any. */
export function told(title, field) {
  const text = h("pre", { tabindex: "0", role: "region", "aria-label": title, dir: "auto" });
  let value = null;
  let shown = null;
  const element = h("section", { hidden: true }, h("div", { class: "section-head" }, h("h2", {}, title), copyButton("Copy", () => plain(value))), text);
  function show(snapshot) {
    value = snapshot[field];
    element.hidden = value === null || value === undefined;
    const key = JSON.stringify(value);
    if (element.hidden || key === shown) return;
    shown = key;
    text.replaceChildren(...readable(value));
  }
  return { element, show };
}

/** What a job failed of, so that it is the first thing that one sees. */
export function failure() {
  const type = h("b", { class: "mono", dir: "auto" });
  const text = h("p", { class: "failure-text", dir: "auto" });
  const more = h("button", { type: "button", class: "minor", "aria-expanded": "false", onclick: unfold }, "Show all of it");
  const copy = copyButton("Copy", () => [type.textContent, text.textContent].filter(Boolean).join(": "));
  const element = h("div", { class: "failure", role: "group", "aria-label": "Error", hidden: true }, type, text, h("div", { class: "buttons" }, more, copy));
  let shown = null;

  function unfold() {
    const isOpen = text.classList.toggle("unfolded");
    text.tabIndex = isOpen ? 0 : -1; // it may scroll then
    more.setAttribute("aria-expanded", String(isOpen));
    more.textContent = isOpen ? "Show less" : "Show all of it";
  }

  function show({ status, error }) {
    element.hidden = status !== "failed";
    const key = JSON.stringify(error);
    if (element.hidden || key === shown) return;
    shown = key;
    type.textContent = error?.type ?? "";
    text.textContent = error?.detail ?? (error?.type ? "" : "It failed without saying why.");
    text.hidden = text.textContent === "";
    more.hidden = text.textContent.length < 300 && text.textContent.split("\n").length < 5;
  }
  return { element, show };
}
