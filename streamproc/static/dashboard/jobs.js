/** Jobs: a live list with filters that are in the address. Only the rows in sight are followed. */

import { client, query } from "./api.js";
import { badge, bar } from "./bar.js";
import { report } from "./connection.js";
import { afterQuiet, attribute, h, say } from "./dom.js";
import { isFinal, remaining } from "./eta.js";
import { FILTERS, PAGE, filtersOf, first, headOf } from "./first.js";
import { number, percent, setTime, short } from "./format.js";
import { poll } from "./poll.js";
import { empty, failed, loading } from "./states.js";
import { virtualList } from "./virtual.js";

const STATUSES = ["running", "queued", "started", "paused", "finished", "failed", "canceled"];
const REFRESH_MS = 3_000;
const MOST_FOLLOWED = 200;

export function open(place, _, parameters) {
  let filters = read(parameters);
  let jobs = [];
  let next = null;
  let isLoading = false;
  let round = 0;
  const snapshots = new Map();
  const found = h("div", { class: "found" }, loading("jobs"));
  const bound = filterBar((change) => go({ ...filters, ...change }));
  place.append(h("h1", {}, "Jobs"), bound.element, found);

  const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
  const list = virtualList("Jobs", jobRow, (job) => job, { height: rowHeight, seen });
  const shown = { refresh: list.refresh };
  const following = client.followMany([], (job, snapshot) => {
    if (snapshot) snapshots.set(job, snapshot);
    shown.refresh();
  }, { onState: (state, status) => report("stream", state, status) });
  const follow = afterQuiet(120, (wanted) => {
    following.set(wanted);
    if (!wanted.length) report("stream", null);
  });

  function jobRow() {
    const row = makeRow();
    return { element: row.element, show: (job) => row.show(snapshots.get(job)) };
  }

  function seen(inSight) {
    const wanted = inSight.filter((job) => !isFinal(snapshots.get(job))).slice(0, MOST_FOLLOWED);
    if (wanted.join() !== seen.last) follow(wanted);
    seen.last = wanted.join();
    if (next && inSight.at(-1) && jobs.indexOf(inSight.at(-1)) > jobs.length - PAGE / 2) more();
  }

  const keep = (page) => page.map((snapshot) => {
    const known = snapshots.get(snapshot.job_id);
    if (!known || known.updated_at <= snapshot.updated_at) snapshots.set(snapshot.job_id, snapshot);
    return snapshot.job_id;
  });

  /** Ask for the head of the list: what is new comes above, what went isn't shown any more. */
  async function refresh() {
    const asked = round;
    const head = headOf(filtersOf(new URLSearchParams(query(filters))));
    const page = (await first(head)) ?? (await client.get(head));
    if (asked !== round) return;
    const newest = keep(page.jobs);
    const last = jobs.indexOf(newest.at(-1));
    const isNew = new Set(newest);
    if (page.next === null || last < 0) {
      jobs = newest;
      next = page.next;
    } else {
      jobs = [...newest, ...jobs.slice(last + 1).filter((job) => !isNew.has(job))];
    }
    bound.count(page.counts);
    draw();
  }

  async function more() {
    if (isLoading) return;
    isLoading = true;
    const asked = round;
    try {
      const page = await client.get(`/v1/jobs${query({ ...filters, limit: 500, cursor: next })}`);
      if (asked !== round) return;
      const known = new Set(jobs);
      jobs = [...jobs, ...keep(page.jobs).filter((job) => !known.has(job))];
      next = page.next;
      draw();
    } catch {
      report("list", "stale"); // scrolling on, or the next refresh, asks again
    } finally {
      isLoading = false;
    }
  }

  function draw() {
    if (jobs.length && !list.element.isConnected) found.replaceChildren(list.element);
    if (!jobs.length) found.replaceChildren(nothing(filters, () => go({})));
    list.set(jobs);
  }

  const polled = poll("list", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  const ticking = setInterval(list.refresh, 1_000);

  function go(wanted) {
    const text = query(Object.fromEntries(FILTERS.map((name) => [name, wanted[name]])));
    location.hash = `/jobs${text}`;
  }

  function moved(changed) {
    filters = read(changed);
    round += 1;
    jobs = [];
    next = null;
    bound.set(filters);
    found.replaceChildren(loading("jobs"));
    polled.run();
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      bound.search.focus();
    } else if (event.key === "Escape" && isTyping) event.target.blur();
    else if (!isTyping && jobs.length) {
      const at = list.focused();
      const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: jobs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      list.focus(Math.min(jobs.length - 1, Math.max(0, to)));
    }
  }
  document.addEventListener("keydown", keys);
  bound.set(filters);

  return {
    moved,
    close() {
      round += 1;
      polled.close();
      following.close();
      follow.cancel();
      list.close();
      clearInterval(ticking);
      document.removeEventListener("keydown", keys);
    },
  };
}

const read = (parameters) => Object.fromEntries(FILTERS.map((name) => [name, name === "label" ? parameters.getAll(name) : parameters.get(name)]));

function nothing(filters, clear) {
  const isFiltered = FILTERS.some((name) => filters[name]?.length);
  if (!isFiltered) return empty("No jobs yet", "A job is here as soon as a worker reports on it.", h("code", {}, "streamproc demo"));
  const state = empty("No job is like that", "None of the jobs matches all of the filters.");
  state.append(h("button", { type: "button", onclick: clear }, "Clear the filters"));
  return state;
}

/** The filters: one of the statuses with their counts, a search, and a kind. */
function filterBar(change) {
  const chips = ["", ...STATUSES, "stalled"].map((status) => {
    const count = h("span", { class: "count" });
    const press = () => change(status === "stalled" ? { stalled: "true", status: null } : { status, stalled: null });
    const button = h("button", { type: "button", class: "chip", onclick: press }, status || "all", count);
    return { status, button, count };
  });
  const quiet = afterQuiet(200, () => change({ q: search.value.trim() }));
  const search = h("input", { type: "search", id: "q", placeholder: "Title or id", maxlength: "256", autocomplete: "off", oninput: quiet, "aria-keyshortcuts": "/" });
  const kind = h("input", { type: "search", id: "kind", placeholder: "Any kind", maxlength: "256", autocomplete: "off", onchange: () => change({ kind: kind.value.trim() }) });
  const label = h("input", { type: "search", id: "label", placeholder: "name:value", maxlength: "512", autocomplete: "off", onchange: () => change({ label: label.value.trim() ? [label.value.trim()] : [] }) });
  const sort = h("select", { id: "sort", onchange: () => change({ sort: sort.value }) },
    ...[["", "Newest first"], ["created", "Oldest first"], ["-started", "Latest started"], ["-finished", "Latest ended"]].map(([value, text]) => h("option", { value }, text)));
  const field = (text, input) => h("label", { class: "field", for: input.id }, h("span", {}, text), input);
  const element = h("div", { class: "filters", role: "search" },
    h("div", { class: "chips", role: "group", "aria-label": "Status" }, ...chips.map((chip) => chip.button)),
    h("div", { class: "fields" }, field("Search", search), field("Kind", kind), field("Label", label), field("Order", sort)));
  return {
    element,
    search,
    set(filters) {
      const chosen = filters.stalled === "true" ? "stalled" : (filters.status ?? "");
      for (const chip of chips) attribute(chip.button, "aria-pressed", chip.status === chosen);
      if (document.activeElement !== search) search.value = filters.q ?? "";
      kind.value = filters.kind ?? "";
      label.value = filters.label[0] ?? "";
      sort.value = filters.sort ?? "";
    },
    count(counts) {
      const isOfStalled = chips.at(-1).button.getAttribute("aria-pressed") === "true";
      const all = counts && STATUSES.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
      for (const chip of chips) {
        const count = counts && (isOfStalled ? (chip.status === "stalled" ? all : null) : chip.status ? counts[chip.status] : all);
        say(chip.count, Number.isFinite(count) ? short(count) : "");
        chip.button.title = Number.isFinite(count) ? number(count) : "";
      }
    },
  };
}

/** A row of the list. */
export function makeRow() {
  const link = h("a", { dir: "auto" });
  const about = h("small", { dir: "auto" });
  const doing = h("small", { class: "doing", dir: "auto" });
  const amount = h("span", { class: "amount" });
  const left = h("span", { class: "left" });
  const when = h("time");
  const worker = h("small", { class: "worker", dir: "auto" });
  const progress = bar();
  const mark = badge();
  const element = h("li", { class: "row" }, h("div", { class: "name" }, link, about),
    h("div", { class: "progress" }, h("div", { class: "measure" }, progress.element, amount), doing),
    h("div", { class: "until" }, left, when), h("div", { class: "state-of" }, mark.element, worker));
  function show(snapshot) {
    if (!snapshot || show.last === snapshot && isFinal(snapshot)) return;
    show.last = snapshot;
    const title = snapshot.title ?? snapshot.job_id;
    say(link, title);
    attribute(link, "href", `#/jobs/${encodeURIComponent(snapshot.job_id)}`);
    attribute(link, "title", title);
    say(about, [snapshot.kind, snapshot.title ? snapshot.job_id : null].filter(Boolean).join(" · "));
    say(doing, [snapshot.current_stage, snapshot.error?.detail ?? snapshot.message].filter(Boolean).join(" · "));
    say(amount, percent(snapshot.percent));
    progress.show(title, snapshot.percent, snapshot.status, snapshot.stalled);
    const [text, until] = remaining(snapshot);
    say(left, text);
    setTime(when, until);
    when.hidden = !until;
    mark.show(snapshot.status, snapshot.stalled);
    say(worker, snapshot.worker ?? "");
  }
  return { element, show };
}
