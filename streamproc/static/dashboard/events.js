/** What happened to a job, event by event: the newest first, with a search, and each of them whole. */

import { detail } from "./detail.js";
import { afterQuiet, attribute, h, say } from "./dom.js";
import { exact, number, setTime } from "./format.js";
import { lineList } from "./lines.js";

const NEAR_THE_END = 100;
const SHOWN_APART = new Set(["job", "type", "src", "seq", "at"]);
/** Why an event had no effect. */
const MARKS = {
  duplicate: "It had been sent before: its sender had reached this number already.",
  late: "The job, the stage or the unit had ended already.",
  superseded: "It is of an earlier attempt than the current one.",
  unclaimed: "It came from a worker that the job wasn't claimed by.",
  unknown: "Its type isn't known.",
  over_limit: "It names a stage or a counter that would be one too many.",
};

export function events(history) {
  const search = h("input", { type: "search", id: "find", placeholder: "Type, stage, unit, message…", autocomplete: "off" });
  const types = typeFilter(() => filter());
  const told = h("p", { class: "quiet" });
  const newer = h("button", { type: "button", class: "minor", hidden: true, onclick: () => list.toTop() });
  const further = h("button", { type: "button", class: "minor", hidden: true, onclick: () => (isSearching ? stop() : searchOlder()) });
  const whole = detail("The event");
  const list = lineList("Events of the job", "Events, the newest first", () => makeRow(look), (entry) => entry.position, seen);
  const element = h("section", {}, h("h2", {}, "Events"),
    h("div", { class: "find" }, h("label", { class: "field", for: "find" }, h("span", {}, "Search"), search), types.element),
    h("div", { class: "told" }, told, newer, further), list.element, whole.element);
  let words = [];
  let matches = [];
  let held = [];
  let isSearching = false;

  const isNarrowed = () => words.length > 0 || types.chosen() !== "";
  const fits = (entry) => types.fits(entry) && words.every((word) => searchedOf(entry).includes(word));
  const chosen = (entries) => (isNarrowed() ? entries.filter(fits) : entries);

  history.subscribe(({ how, events: found }) => {
    types.count(how, found);
    if (how === "begun") filter();
    else if (how === "older") matches = [...matches, ...chosen(found)];
    else if (how === "newer" && list.isScrolled()) held = [...chosen(found), ...held];
    else if (how === "newer") matches = [...chosen(found), ...matches];
    if (how === "newer" && history.isFull) matches.length = Math.min(matches.length, history.entries.length);
    draw();
  });

  function draw() {
    list.set(matches);
    tell();
  }

  function filter() {
    held = [];
    matches = chosen(history.entries);
    draw();
  }
  const find = afterQuiet(120, () => {
    stop();
    words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    filter();
  });
  search.addEventListener("input", find);

  /** Older events are read as somebody scrolls towards them. */
  function seen(inSight) {
    if (!isNarrowed() && list.isScrolled() && matches.indexOf(inSight.at(-1), -NEAR_THE_END) >= 0) history.readOlder();
  }
  list.released(() => {
    if (!held.length) return;
    matches = [...held, ...matches];
    held = [];
    draw();
  });

  async function searchOlder() {
    isSearching = true;
    while (isSearching && (await history.readOlder()));
    stop();
    draw();
  }
  function stop() {
    isSearching = false;
  }

  function tell() {
    const here = history.entries.length;
    const { total } = history;
    const said = [];
    if (history.problem) said.push(`The events can't be read now: ${history.problem.message}.`);
    if (isNarrowed()) {
      said.push(`${number(matches.length)} of ${history.isWhole ? `${number(here)} events` : `the newest ${number(here)} events`}.`);
      if (history.isFull) said.push(`The ${number(total - here)} before them aren't searched: so many aren't kept here.`);
      else if (!history.isWhole) said.push(`${number(total - here)} older ones aren't searched yet.`);
    } else if (history.isWhole) said.push(`${number(here)} ${here === 1 ? "event" : "events, the newest first"}`);
    else said.push(`The newest ${number(here)} of ${number(total)} events; ${history.isFull ? "so many are kept here" : "older ones come as you scroll"}`);
    attribute(told, "aria-live", isNarrowed() ? "polite" : "off"); // what comes by itself isn't read out
    say(told, said.join(" "));
    newer.hidden = !held.length;
    say(newer, `${number(held.length)} newer`);
    further.hidden = !isNarrowed() || history.isWhole || history.isFull;
    say(further, isSearching ? "Stop" : "Search older ones too");
  }

  function look(entry, from) {
    const { position, time, mark, event } = entry;
    const why = mark ? `Without effect (${mark}): ${MARKS[mark] ?? ""}` : "";
    const note = [exact(time), position, why].filter(Boolean).join(" · ");
    whole.show({ title: String(event.type), note, text: JSON.stringify({ position, time, mark, event }, null, 2) }, from);
  }

  return {
    element,
    show() {},
    close() {
      stop();
      find.cancel();
      list.close();
    },
  };
}

/** What an event says beyond its type, in one line. */
function textOf(entry) {
  entry.text ??= Object.entries(entry.event).filter(([name]) => !SHOWN_APART.has(name))
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
  return entry.text;
}

function searchedOf(entry) {
  const { type, src, seq, at } = entry.event;
  entry.searched ??= [type, entry.mark, textOf(entry), src, seq, at, entry.position, entry.time].filter((each) => each !== undefined).join(" ").toLowerCase();
  return entry.searched;
}

/** A choice of the types that were read, with how many there are of each; and of those events that had no effect. */
function typeFilter(changed) {
  const select = h("select", { id: "find-type", onchange: changed });
  const element = h("label", { class: "field", for: "find-type" }, h("span", {}, "Type"), select);
  const options = new Map();
  const counts = new Map();

  function option(value, name) {
    const made = h("option", { value });
    options.set(value, { made, name });
    const after = [...options].filter(([other]) => other > value).sort(([a], [b]) => (a < b ? -1 : 1))[0];
    select.insertBefore(made, after?.[1].made ?? null);
  }
  option("", "All");

  return {
    element,
    chosen: () => select.value,
    fits: ({ event, mark }) => select.value === "" || (select.value === " marked" ? mark !== null : event.type === select.value),
    count(how, found) {
      if (how === "begun") counts.clear();
      for (const { event, mark } of found) {
        for (const each of [String(event.type), ...(mark ? [" marked"] : [])]) counts.set(each, (counts.get(each) ?? 0) + 1);
      }
      for (const value of counts.keys()) if (!options.has(value)) option(value, value === " marked" ? "Without effect" : value);
      for (const [value, { made, name }] of options) say(made, value === "" ? name : `${name} (${number(counts.get(value) ?? 0)})`);
    },
  };
}

function makeRow(look) {
  const when = h("time");
  const type = h("button", { type: "button", class: "plain mono" });
  const text = h("span", { class: "cut quiet about", dir: "auto" });
  const mark = h("span", { class: "mark" });
  const element = h("li", { class: "event line" }, when, type, text, mark);
  let entry = null;
  type.addEventListener("click", () => look(entry, type));
  function show(shown) {
    if (entry === shown) return;
    entry = shown;
    setTime(when, shown.time);
    say(type, String(shown.event.type));
    say(text, textOf(shown));
    attribute(text, "title", textOf(shown).slice(0, 1_000));
    say(mark, shown.mark ?? "");
    attribute(mark, "title", shown.mark ? (MARKS[shown.mark] ?? null) : null);
  }
  return { element, show };
}
