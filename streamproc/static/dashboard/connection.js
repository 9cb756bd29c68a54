/** How this page is connected, told in the head of it: as it is, and not as one would like it. */

import { say } from "./dom.js";
import { instant } from "./format.js";

const CAUGHT_UP_MS = 4_000;
const states = new Map();
let lost = null;
let back = 0;

/** Tell how one of the page's connections is: "connecting", "live", "polling", "stale"; null when it is over. */
export function report(name, state) {
  if (state === null || state === "gone") states.delete(name);
  else states.set(name, state);
  show();
}

/** Forget all of them: another page begins. */
export function reset() {
  const isLost = lost;
  states.clear();
  lost = isLost;
}

function show() {
  const element = document.getElementById("connection");
  const found = [...states.values()];
  const name = found.includes("stale") ? "stale" : (["connecting", "polling", "live"].find((each) => found.includes(each)) ?? "idle");
  const now = Date.now();
  if (name === "stale") lost ??= now;
  else if (lost !== null && (name === "live" || name === "polling")) {
    lost = null;
    back = now;
    setTimeout(show, CAUGHT_UP_MS + 50);
  }
  const isBack = lost === null && now - back < CAUGHT_UP_MS;
  element.className = `connection ${isBack ? "caught-up" : name}`;
  if (lost !== null) say(element, `Reconnecting. Stale since ${instant(new Date(lost).toISOString())}`);
  else say(element, isBack ? "Caught up" : { connecting: "Connecting…", polling: "Live, by polling", live: "Live", idle: "" }[name]);
}
