/** Jobs: a live list with filters that are in the address. Only the rows in sight are followed. */

import { client, query } from "./api.js";
import { report } from "./connection.js";
import { afterQuiet, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { filterBar } from "./filters.js";
import { FILTERS, PAGE, filtersOf, first, headOf } from "./first.js";
import { number } from "./format.js";
import { listKeys } from "./keys.js";
import { Order } from "./order.js";
import { poll } from "./poll.js";
import { makeRow } from "./row.js";
import { empty, failed, loading } from "./states.js";
import { virtualList } from "./virtual.js";
import { arrive, leave } from "./visits.js";

const REFRESH_MS = 3_000;
const MOST_FOLLOWED = 200;
const RESTS_MS = 4_000;

export function open(place, _, parameters) {
  let filters = filtersOf(parameters);
  let order = null;
  let visit = null;
  let isLoading = false;
  let pointed = -Infinity;
  const found = h("div", { class: "found" });
  const fresh = h("button", { type: "button", class: "fresh", hidden: true, onclick: toTop });
  const bound = filterBar((change) => go({ ...filters, ...change }), (name) => order.known(name));
  const list = virtualList("Jobs", row, (job) => job, { height: rowHeight, seen });
  const keys = listKeys(list, () => order.jobs.length, bound.search);
  place.append(h("div", { class: "title" }, h("h1", {}, "Jobs"), keys.button), bound.element, found, fresh, keys.dialog);

  const following = client.followMany([], (job, snapshot) => {
    if (!snapshot) return;
    order.snapshots.set(job, snapshot);
    list.update(job);
  }, { onState: (state, status) => report("stream", state, status) });
  const follow = afterQuiet(120, (wanted) => {
    following.set(wanted);
    if (!wanted.length) report("stream", null);
  });

  function row() {
    const { element, show } = makeRow();
    return { element, show: (job) => show(order.snapshots.get(job)) };
  }

  function seen(inSight) {
    const wanted = inSight.filter((job) => !isFinal(order.snapshots.get(job))).slice(0, MOST_FOLLOWED);
    if (wanted.join() !== seen.last) follow(wanted);
    seen.last = wanted.join();
    if (order.next && order.jobs.lastIndexOf(inSight.at(-1)) > order.jobs.length - PAGE / 2) more();
  }

  /** Whether rows should stay where they are: somebody has scrolled to them, points at them, or has gone to one by keys. */
  const isRead = () => scrollY > 0 || performance.now() - pointed < RESTS_MS || list.element.contains(document.activeElement);

  /** Ask for the head of the list: what is new comes above, what went isn't shown any more. */
  async function refresh() {
    const asked = order;
    const head = headOf(filters);
    const page = (await first(head)) ?? (await client.get(head));
    if (asked !== order) return;
    order.take(page);
    if (!order.jobs.length || !isRead()) order.apply();
    draw();
    tell(page.counts, page.counts && (await otherCounts()));
  }

  /** How many are stalled, where all are listed; or how many there are, where the stalled are. */
  async function otherCounts() {
    const stalled = filters.stalled.length ? [] : ["true"];
    return (await client.get(`/v1/jobs${query({ kind: filters.kind, stalled, limit: 1, counts: true })}`)).counts;
  }

  function tell(counts, others) {
    const [all, stalled] = filters.stalled.length ? [others, counts] : [counts, others];
    bound.count(all, stalled && Object.values(stalled).reduce((sum, each) => sum + each, 0));
    document.title = `${all?.running ? `${number(all.running)} running · ` : ""}Jobs · streamproc`;
  }

  async function more() {
    if (isLoading) return;
    isLoading = true;
    const asked = order;
    try {
      const page = await client.get(`/v1/jobs${query({ ...filters, limit: 500, cursor: order.next })}`);
      if (asked !== order) return;
      order.append(page);
      draw();
    } catch (error) {
      if (asked === order) report("list", "stale", { problem: error }); // scrolling on, or the next refresh, asks again
    } finally {
      isLoading = false;
    }
  }

  function draw() {
    if (order.jobs.length && !list.element.isConnected) found.replaceChildren(list.element);
    if (!order.jobs.length) found.replaceChildren(nothing(filters, () => go({})));
    list.set(order.jobs);
    if (!list.element.firstChild) list.render(); // the first bars don't wait for another frame
    fresh.hidden = !order.differs;
    if (order.differs) say(fresh, order.fresh ? `↑ ${order.isGap ? "over " : ""}${number(order.fresh)} new ${order.fresh === 1 ? "job" : "jobs"}` : "↑ The order has changed");
  }

  function settle() {
    if (!order.differs || isRead()) return;
    order.apply();
    draw();
  }

  function toTop() {
    pointed = -Infinity;
    if (list.element.contains(document.activeElement)) document.activeElement.blur();
    scrollTo(0, 0);
    settle();
    list.focus(0);
  }

  begin();
  const polled = poll("list", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  const ticking = setInterval(list.refresh, 1_000);
  const listening = new AbortController();
  list.element.addEventListener("pointermove", () => (pointed = performance.now()), { passive: true });
  list.element.addEventListener("pointerleave", () => {
    pointed = -Infinity;
    settle();
  });
  addEventListener("scroll", () => scrollY === 0 && settle(), { passive: true, signal: listening.signal });

  const go = (wanted) => {
    location.hash = `/jobs${query(Object.fromEntries(FILTERS.map((name) => [name, wanted[name] ?? []])))}`;
  };

  function moved(changed) {
    keep();
    filters = filtersOf(changed);
    begin();
    polled.run();
  }

  /** Begin with a list as it was left, or with none. */
  function begin() {
    visit = arrive();
    order = visit.left?.order ?? new Order();
    bound.set(filters);
    if (visit.left) draw();
    else found.replaceChildren(loading("jobs"));
    list.set(order.jobs);
    list.render();
    scrollTo(0, visit.left?.top ?? 0);
    const at = order.jobs.indexOf(visit.left?.focused);
    if (at >= 0) list.focus(at);
  }

  const keep = () => order.jobs.length && leave(visit.name, { order, top: scrollY, focused: order.jobs[list.focused()] });

  return {
    moved,
    close() {
      keep();
      order = null;
      polled.close();
      following.close();
      follow.cancel();
      bound.close();
      keys.close();
      list.close();
      listening.abort();
      clearInterval(ticking);
    },
  };
}

const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));

function nothing(filters, clear) {
  if (!FILTERS.some((name) => filters[name].length)) return empty("No jobs yet", "A job is here as soon as a worker reports on it.", h("code", {}, "streamproc demo"));
  const state = empty("No job is like that", "None of the jobs matches all of the filters.");
  state.append(h("button", { type: "button", onclick: clear }, "Clear the filters"));
  return state;
}
