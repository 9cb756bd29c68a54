/** The units of a job, those that failed first; as many as there are, of which those in sight are in the document. */

import { jobPath } from "./api.js";
import { badge, bar } from "./bar.js";
import { attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { number, percent } from "./format.js";
import { virtualList } from "./virtual.js";

const ORDER = { failed: 0, running: 1, pending: 2, finished: 3 };
const ROW = 36;
const LEAST_PAUSE_MS = 2_000;

export function units(job, client) {
  const counts = h("span", { class: "quiet" });
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Units of the job" });
  const list = virtualList("Units", makeRow, (unit) => unit.unit, { height: () => ROW, scroller });
  const told = h("p", { class: "quiet", role: "status" });
  const element = h("section", { hidden: true }, h("h2", {}, "Units ", counts), told, scroller);
  let last = null;
  let isBusy = false;
  let isOver = false;
  let notBefore = 0;

  /** Read all pages. What is shown stays until the new order is whole; the first time it grows page by page. */
  async function load(key) {
    isBusy = true;
    const began = Date.now();
    const found = [];
    try {
      for (let cursor = null; !isOver; ) {
        const page = await client.get(jobPath(job, "/units", { limit: 500, cursor }));
        found.push(...page.units);
        if (last === null || !page.next) list.set([...found].sort((a, b) => (ORDER[a.status] ?? 9) - (ORDER[b.status] ?? 9)));
        if (!page.next) break;
        cursor = page.next;
      }
      last = key;
      say(told, "");
    } catch (error) {
      say(told, `The units can't be read now: ${error.message}`);
    }
    notBefore = Date.now() + Math.max(LEAST_PAUSE_MS, 10 * (Date.now() - began)); // at most a tenth of the time
    isBusy = false;
  }

  function show(snapshot, live) {
    const { total, ...by } = live.units ?? { total: 0 };
    element.hidden = !total;
    if (!total) return;
    if (scroller.firstChild !== list.element) scroller.replaceChildren(list.element);
    say(counts, [`${number(total)} in all`, ...Object.keys(ORDER).filter((name) => by[name]).map((name) => `${number(by[name])} ${name}`)].join(" · "));
    const key = `${live.position}`;
    if (key !== last && !isBusy && (Date.now() >= notBefore || (isFinal(live) && last !== key && notBefore === 0))) load(key);
  }
  return {
    element,
    show,
    close() {
      isOver = true;
      list.close();
    },
  };
}

function makeRow() {
  const name = h("span", { class: "cut", dir: "auto" });
  const mark = badge();
  const progress = bar();
  const amount = h("span", { class: "amount" });
  const about = h("small", { class: "cut", dir: "auto" });
  const element = h("li", { class: "unit" }, name, mark.element, progress.element, amount, about);
  function show(unit) {
    const called = unit.unit;
    say(name, called);
    attribute(name, "title", called);
    mark.show(unit.status);
    const value = unit.status === "finished" ? 100 : (unit.percent ?? (unit.status === "running" ? null : 0));
    progress.show(called, value, unit.status);
    say(amount, percent(value));
    const text = unit.error?.detail ?? unit.message ?? unit.stage ?? "";
    say(about, unit.attempt > 1 ? `attempt ${number(unit.attempt)} ${text}` : text);
    attribute(about, "title", text);
  }
  return { element, show };
}
