/** The units of a job: as many as there are, of which those in sight are in the document; those that failed first. */

import { jobPath } from "./api.js";
import { badge, bar } from "./bar.js";
import { detail } from "./detail.js";
import { afterQuiet, atNextFrame, attribute, h, say } from "./dom.js";
import { duration, exact, millis, now, number, percent } from "./format.js";
import { lineList } from "./lines.js";
import { Members, STATUSES } from "./members.js";

const PAGE = 500;
const SORT_MS = 300;
const CHECK_MS = 10_000;

export function units(job, client, history) {
  const told = h("p", { class: "quiet", role: "status" });
  const again = h("button", { type: "button", class: "minor", hidden: true, onclick: () => load() }, "Try again");
  const resort = h("button", { type: "button", class: "minor", hidden: true, onclick: () => sort(true) }, "Sort again");
  const search = h("input", { type: "search", placeholder: "Part of a name", "aria-label": "Search units", autocomplete: "off" });
  const chips = statusChips((wanted) => {
    status = wanted;
    sort(true);
  });
  const whole = detail("The unit");
  const list = lineList("Units of the job", "Units", () => makeRow((name, from) => look(name, from)), (name) => name);
  const element = h("section", { hidden: true },
    h("div", { class: "section-head" }, h("h2", {}, "Units"), chips.element, search), h("div", { class: "told" }, told, resort, again), list.element, whole.element);
  let members = new Members();
  let shown = [];
  let status = null;
  let text = "";
  let waiting = null;
  let round = 0;
  let attempt = null;
  let looked = null;
  let checked = 0;
  let isMoved = false;
  let isOld = false;
  let counts = { total: 0 };
  let problem = null;
  let sorted = 0;

  /** Read all of them. What happens meanwhile is put on top: an event of what was read already does nothing. */
  async function load() {
    const mine = ++round;
    const found = new Members();
    const events = [];
    waiting = events;
    problem = null;
    if (!members.size) members = found;
    try {
      for (let cursor = null; ; ) {
        const page = await client.get(jobPath(job, "/units", { limit: PAGE, cursor }));
        if (mine !== round) return;
        found.put(page.units);
        if (members === found) sortSoon();
        if (!(cursor = page.next)) break;
      }
      for (const entry of events) found.take(entry);
      members = found;
    } catch (error) {
      if (mine !== round) return;
      problem = error;
    }
    waiting = null;
    sort();
  }

  history.subscribe(({ how, events }) => {
    if (how === "begun") load();
    if (how !== "newer") return;
    const inOrder = events.toReversed();
    waiting?.push(...inOrder);
    let isTouched = false;
    for (const entry of inOrder) isTouched = members.take(entry) || isTouched;
    if (isTouched) sortSoon();
  });

  /** Their order is made anew unless somebody reads it: then rows stay where they are, and tell what they have become. */
  function sort(isAsked = false) {
    sorted = Date.now();
    const names = members.names(status, text);
    const isRead = !isAsked && shown.length > 0 && list.isRead();
    if (isRead) {
      const known = new Set(shown);
      const fresh = names.filter((name) => !known.has(name));
      shown = fresh.length ? [...shown, ...fresh] : shown;
      isMoved = names.some((name, at) => name !== shown[at]) || names.length !== shown.length;
    } else {
      shown = names;
      isMoved = false;
    }
    if (isAsked) list.toTop();
    list.set(shown);
    if (looked !== null && whole.isOpen && members.get(looked)) whole.update(wholeOf(members.get(looked)));
    tell();
  }
  const draw = atNextFrame(() => sort());
  let timer = 0;
  function sortSoon() {
    clearTimeout(timer);
    timer = setTimeout(draw, Math.max(0, SORT_MS - (Date.now() - sorted)));
  }
  const find = afterQuiet(120, () => {
    text = search.value.trim();
    sort(true);
  });
  search.addEventListener("input", find);
  list.released(() => isMoved && sort());

  function look(name, from) {
    looked = name;
    whole.show({ title: name, ...wholeOf(members.get(name)) }, from);
  }

  function tell() {
    resort.hidden = !isMoved || !list.isScrolled();
    again.hidden = !problem;
    const said = [];
    if (problem) said.push(`The units can't be read now: ${problem.message}`);
    else if (waiting && members.size < counts.total) said.push(`${number(members.size)} of ${number(counts.total)} read so far.`);
    if (status || text) said.push(`${number(shown.length)} of ${number(members.size)} units.`);
    if (isMoved) said.push("Some have moved on; they stay in their places while you read.");
    if (isOld) said.push("These are the units as they are now: how each was then isn't kept.");
    say(told, said.join(" "));
  }

  /** What failed is tried again. Counts that differ where nothing is on its way mean that something was missed. */
  function check(live) {
    if (waiting || history.newest !== live.position || Date.now() - checked < CHECK_MS) return;
    checked = Date.now();
    const found = members.counts();
    if (problem || STATUSES.some((each) => found[each] !== (live.units?.[each] ?? 0))) load();
  }

  return {
    element,
    show(snapshot, live) {
      counts = snapshot.units ?? { total: 0 };
      element.hidden = !live.units?.total && !counts.total;
      if (element.hidden) return;
      chips.show(counts, status);
      if (attempt !== null && live.attempt !== attempt) {
        members = new Members();
        shown = [];
        load();
      }
      attempt = live.attempt;
      isOld = snapshot !== live;
      check(live);
      tell();
      list.refresh();
    },
    close() {
      round += 1;
      clearTimeout(timer);
      draw.cancel();
      find.cancel();
      list.close();
    },
  };

  function makeRow(onLook) {
    const name = h("button", { type: "button", class: "plain cut", dir: "auto" });
    const mark = badge();
    const progress = bar();
    const amount = h("span", { class: "amount" });
    const took = h("span", { class: "took quiet" });
    const about = h("small", { class: "cut about", dir: "auto" });
    const row = h("li", { class: "unit line" }, name, mark.element, progress.element, amount, took, about);
    let called = null;
    name.addEventListener("click", () => onLook(called, name));
    function show(unit) {
      const found = members.get(unit);
      if (!found) return;
      called = unit;
      say(name, unit);
      attribute(name, "title", unit);
      mark.show(found.status);
      const value = found.status === "running" && !found.percent ? null : found.percent;
      progress.show(unit, value, found.status);
      say(amount, found.status === "pending" || value === null ? "" : percent(value));
      say(took, tookOf(found));
      const why = found.error ? [found.error.type, found.error.detail].filter(Boolean).join(": ") : (found.message ?? found.stage ?? "");
      const line = [found.attempt > 1 && `attempt ${number(found.attempt)}`, why].filter(Boolean).join(" · ");
      say(about, line);
      attribute(about, "title", line);
      about.classList.toggle("wrong", Boolean(found.error));
    }
    return { element: row, show };
  }
}

/** How long it took, or has taken; nothing where it hasn't begun. */
function tookOf(unit) {
  const from = millis(unit.started_at);
  const to = unit.finished_at ? millis(unit.finished_at) : now();
  return Number.isFinite(from) && (unit.finished_at || unit.status === "running") ? duration(Math.max(0, to - from) / 1000) : "";
}

function wholeOf(unit) {
  const facts = [unit.status, tookOf(unit) && `took ${tookOf(unit)}`, unit.attempt > 1 && `attempt ${number(unit.attempt)}`,
    unit.worker && `by ${unit.worker}`, unit.started_at && `from ${exact(unit.started_at)}`];
  return { note: facts.filter(Boolean).join(" · "), text: unit.error?.detail ?? JSON.stringify(unit, null, 2) };
}

/** How many there are of each status, and a choice of one. */
function statusChips(choose) {
  const made = new Map([null, ...STATUSES].map((status) => {
    const count = h("span", { class: "count" });
    const element = h("button", { type: "button", class: "chip", "aria-pressed": "false" }, status ?? "all", count);
    element.addEventListener("click", () => choose(element.getAttribute("aria-pressed") === "true" ? null : status));
    return [status, { element, count }];
  }));
  const element = h("div", { class: "chips", role: "group", "aria-label": "Units by status" }, ...[...made.values()].map((chip) => chip.element));
  function show(counts, chosen) {
    for (const [status, chip] of made) {
      const value = status === null ? counts.total : counts[status];
      say(chip.count, number(value ?? 0));
      chip.element.hidden = status !== null && !value && status !== chosen;
      attribute(chip.element, "aria-pressed", status === chosen);
    }
  }
  return { element, show };
}
