/** The page around the pages: which one is shown, by the part of the address after the #. */

import { readClock } from "./api.js";
import { reset } from "./connection.js";
import { h } from "./dom.js";
import { address, pageAt } from "./first.js";
import { empty, failed } from "./states.js";

const main = document.getElementById("main");
const ALARM_AFTER_MS = 1_000; // when what the page is for is there
const ALARM_AGAIN_MS = 15_000;
let shown = null;
let path = null;

async function route() {
  const wanted = address();
  if (wanted.path === path && shown?.moved) {
    shown.moved(wanted.parameters);
    return;
  }
  const isFirst = path === null;
  path = wanted.path;
  shown?.close();
  shown = null;
  reset();
  for (const link of document.querySelectorAll("#nav a")) {
    if (path.startsWith(link.hash.slice(1))) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const page = pageAt(path);
  const place = h("div", { class: "page" });
  main.replaceChildren(place);
  if (!page) {
    place.append(empty("There is no such page", "The pages are in the bar at the top."));
    return;
  }
  document.title = `${page.title} · streamproc`;
  scrollTo(0, 0);
  try {
    const { open } = await page.loaded;
    if (wanted.path !== path) return;
    shown = open(place, page.named, wanted.parameters);
    if (!isFirst && !place.contains(document.activeElement)) main.focus({ preventScroll: true });
  } catch (error) {
    place.replaceChildren(failed(error, () => location.reload()));
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
route();
readClock();
setTimeout(async function alarm() {
  if (address().parameters.has("share")) return; // who was given a link may see one job
  try {
    const { attend } = await import("./attention.js");
    attend(document.querySelector("#nav a[href='#/slow']"));
  } catch {
    setTimeout(alarm, ALARM_AGAIN_MS); // the gateway is away
  }
}, ALARM_AFTER_MS);
