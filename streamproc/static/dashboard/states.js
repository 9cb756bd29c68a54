/** What a page shows while, or instead of, what it is for: loading, empty, an error, no permission. */

import { h } from "./dom.js";
import { signIn } from "./api.js";

const SOON_MS = 150;
let isAsked = false;

/** Nothing at first: what is there within a moment needs no skeleton before. */
export function loading(what) {
  const element = h("div", { class: "state loading", role: "status" });
  setTimeout(() => element.append(h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    h("p", { class: "quiet" }, `Loading ${what}…`),
    h("p", { class: "away" }, "The gateway doesn't answer. It is asked again and again, and the page goes on by itself.")), SOON_MS);
  return element;
}

export const empty = (title, ...hints) => h("div", { class: "state" }, heading(title), ...hints.map((hint) => h("p", {}, hint)));

/** What went wrong, and what to do. */
export function failed(error, again) {
  if (error.status === 401) {
    return signingIn(heading("This gateway asks who you are"), "The key is kept in a cookie that pages can't read, until the session ends.");
  }
  if (error.status === 403) {
    return h("div", { class: "state" }, heading("Not yours to see"),
      h("p", { dir: "auto" }, error.message), error.problem?.scope && h("p", {}, "Whoever runs this gateway can give your key the scope it takes."), signingOut());
  }
  const title = error.status === 404 ? "There is no such thing here" : "This can't be shown now";
  return h("div", { class: "state" }, heading(title), h("p", { dir: "auto" }, error.message),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

/** Ask who is signed out while a page is open, over what it shows: once, as they may rather look on. The next page asks too. */
export function signInAgain() {
  if (isAsked || document.querySelector("dialog[open], #key")) return;
  isAsked = true;
  const title = h("h2", { id: "signed-out" }, "You have been signed out");
  const form = signingIn(title, "What is shown stays as it was until you sign in again.");
  const dialog = h("dialog", { "aria-labelledby": title.id, onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
}

/** The heading of a state: of the whole page, where the page has none. */
const heading = (title) => h(document.querySelector("main h1:not(.state > *)") ? "h2" : "h1", {}, title);

function signingIn(title, about) {
  const key = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true, spellcheck: "false" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  async function submit(event) {
    event.preventDefault();
    wrong.textContent = "";
    try {
      await signIn(key.value);
      location.reload();
    } catch (error) {
      wrong.textContent = error.message;
      key.focus();
    }
  }
  return h("form", { class: "state", onsubmit: submit }, title, h("p", {}, about),
    h("label", { class: "field", for: "key" }, h("span", {}, "Key or token"), key), h("button", { type: "submit", class: "main-button" }, "Sign in"), wrong);
}

const signingOut = () =>
  h("button", { type: "button", onclick: async () => { await fetch("/v1/session", { method: "DELETE" }); location.reload(); } },
    "Use another key");
