/** The page around the pages: which one is shown, by the part of the address after the #. */

import { readClock } from "./api.js";
import { reset } from "./connection.js";
import { h } from "./dom.js";
import * as jobs from "./jobs.js";
import { empty, failed } from "./states.js";

const PAGES = [
  [/^\/jobs$/, () => jobs, "Jobs"],
  [/^\/jobs\/([^/]+)$/, () => import("./job.js"), "Job"],
  [/^\/kinds$/, () => import("./kinds.js"), "Kinds"],
  [/^\/kinds\/([^/]+)$/, () => import("./kind.js"), "Kind"],
  [/^\/slow$/, () => import("./slow.js"), "Slow & stalled"],
  [/^\/system$/, () => import("./system.js"), "System"],
];

const main = document.getElementById("main");
let shown = null;
let path = null;

/** What the address says: a path, and parameters. */
function address() {
  const [found, text = ""] = location.hash.slice(1).split("?");
  return { path: found || "/jobs", parameters: new URLSearchParams(text) };
}

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
  const [pattern, load, title] = PAGES.find(([each]) => each.test(path)) ?? [];
  const place = h("div", { class: "page" });
  main.replaceChildren(place);
  if (!pattern) {
    place.append(empty("There is no such page", "The pages are in the bar at the top."));
    return;
  }
  document.title = `${title} · streamproc`;
  scrollTo(0, 0);
  try {
    const page = await load();
    if (wanted.path !== path) return;
    const named = path.match(pattern)[1];
    shown = page.open(place, named === undefined ? undefined : decodeURIComponent(named), wanted.parameters);
    if (!isFirst) main.focus({ preventScroll: true });
  } catch (error) {
    place.replaceChildren(failed(error, () => location.reload()));
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
readClock();
route();
