/** How this page is connected, told in the head of it: as it is, and not as one would like it. */

import { say } from "./dom.js";
import { byGateway, instant } from "./format.js";
import { signInAgain } from "./states.js";

const CAUGHT_UP_MS = 4_000;
const LOOK_AGAIN_MS = 2_000;
const LIVELY = ["live", "polling"];
const SAID = { connecting: "Connecting…", polling: "Live, by polling", live: "Live", idle: "" };
const states = new Map();
let lost = null;
let back = 0;
let looking = 0;

/**
 * Tell how one of the page's connections is: "connecting", "live", "polling", "stale"; null when it is over.
 * Further, when what is shown was last known to be true, and why it isn't now: who has been signed out signs in again.
 */
export function report(name, state, { since = new Date(), problem = null } = {}) {
  if (problem?.status === 401 && [...LIVELY, "stale"].includes(states.get(name))) signInAgain();
  if (state === null || state === "gone") states.delete(name);
  else states.set(name, state);
  if (state === "stale" && (lost === null || since < lost)) lost = since;
  show();
}

/** Forget all of them: another page begins. */
export function reset() {
  states.clear();
  if (looking) states.set("network", "stale");
}

function show() {
  const found = [...states.values()];
  const name = ["stale", "connecting", ...LIVELY].find((each) => found.includes(each)) ?? "idle";
  if (lost !== null && LIVELY.includes(name)) {
    lost = null;
    back = Date.now();
    setTimeout(show, CAUGHT_UP_MS + 50);
  }
  const isBack = lost === null && Date.now() - back < CAUGHT_UP_MS;
  const element = document.getElementById("connection");
  element.className = `connection ${lost !== null ? "stale" : isBack ? "caught-up" : name}`;
  document.documentElement.dataset.connection = lost !== null ? "stale" : name;
  say(element, lost !== null ? `Reconnecting. Stale since ${instant(byGateway(lost))}` : isBack ? "Caught up" : SAID[name]);
}

/** A browser that loses its network tells so long before streams find out; but the gateway may be on this machine. */
async function look() {
  clearTimeout(looking);
  const asked = new Date();
  const answers = await fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(LOOK_AGAIN_MS) }).then(() => true, () => false);
  looking = answers ? 0 : setTimeout(look, LOOK_AGAIN_MS);
  report("network", answers ? null : "stale", { since: asked });
}

addEventListener("offline", look);
addEventListener("online", look);
