/** What a page shows while, or instead of, what it is for: loading, empty, an error, no permission. */

import { h } from "./dom.js";
import { signIn } from "./api.js";

export const loading = (what) =>
  h("div", { class: "state", role: "status" }, h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    h("p", { class: "quiet" }, `Loading ${what}…`));

export const empty = (title, ...hints) => h("div", { class: "state" }, h("h2", {}, title), ...hints.map((hint) => h("p", {}, hint)));

/** What went wrong, and what to do. */
export function failed(error, again) {
  if (error.status === 401) return signingIn();
  if (error.status === 403) {
    return h("div", { class: "state" }, h("h2", {}, "Not yours to see"),
      h("p", {}, error.message), h("p", {}, "Whoever runs this gateway can give your key the scope it takes."), signingOut());
  }
  const title = error.status === 404 ? "There is no such thing here" : "This can't be shown now";
  return h("div", { class: "state" }, h("h2", {}, title), h("p", { dir: "auto" }, error.message),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

function signingIn() {
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
    }
  }
  return h("form", { class: "state", onsubmit: submit }, h("h2", {}, "This gateway asks who you are"),
    h("p", {}, "The key is kept in a cookie that pages can't read, until the session ends."),
    h("label", { for: "key" }, "Key or token"), key, h("button", { type: "submit" }, "Sign in"), wrong);
}

const signingOut = () =>
  h("button", { type: "button", onclick: async () => { await fetch("/v1/session", { method: "DELETE" }); location.reload(); } },
    "Use another key");
