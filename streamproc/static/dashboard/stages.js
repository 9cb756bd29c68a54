/** Stages as a timeline: when each began and ended, how long that took, and how long it usually takes. */

import { badge, bar } from "./bar.js";
import { attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { duration, millis, now, percent, setTime } from "./format.js";

/** All of them move on as time goes by: this often, and else only those that have changed. There may be hundreds. */
const ALL_MS = 900;

/** The stages of a job, beside what is typical of its kind. */
export function stages(history, typical) {
  const list = h("ol", { class: "stages" });
  const scroller = h("div", { class: "stage-box", tabindex: "0", role: "region", "aria-label": "Stages of the job" }, list);
  const from = h("time");
  const to = h("time");
  const key = h("span", { class: "usual-key" }, h("i", { class: "usual", "aria-hidden": "true" }), "where it usually ends, from p50 to p90");
  const axis = h("p", { class: "axis quiet" }, from, key, to);
  const element = h("section", { hidden: true }, h("h2", {}, "Stages"), scroller, axis);
  const rows = [];
  const reasons = new Map();
  let isScrolled = false;
  let drawnAt = 0;

  /** The snapshot doesn't keep why a stage was skipped; the events that are here may tell. */
  history.subscribe(({ events }) => {
    for (const { event, mark } of events) {
      if (event.type === "stage.skipped" && !mark && !reasons.has(event.stage)) reasons.set(event.stage, event.message ?? event.reason ?? "");
    }
  });

  function show(snapshot, live) {
    const found = snapshot.stages ?? [];
    element.hidden = !found.length;
    if (element.hidden) return;
    const usual = typical.of(snapshot.kind)?.stages;
    const start = millis(snapshot.started_at ?? snapshot.created_at);
    const isNow = snapshot === live && !isFinal(live);
    const at = isNow ? now() : millis(snapshot.finished_at ?? snapshot.updated_at);
    const resumed = millis(snapshot.resumed_at);
    const spans = found.map((stage) => spanOf(stage, usual?.get(stage.name) ?? null, at, resumed));
    const goesOn = snapshot.status !== "paused";
    const ends = spans.flatMap(({ began, ended, p90 }) => [ended, isNow ? began + 1000 * p90 : NaN]);
    const end = Math.max(start + 1, at, ...ends.filter(Number.isFinite));
    while (rows.length < found.length) list.append(rows[rows.push(makeRow()) - 1].element);
    while (rows.length > found.length) rows.pop().element.remove();
    const isDue = !isNow || now() - drawnAt >= ALL_MS;
    found.forEach((stage, place) => {
      if (isDue || rows[place].isOther(stage)) rows[place].show(stage, spans[place], { start, end, reason: reasons.get(stage.name), isNow, goesOn });
    });
    if (isDue) {
      drawnAt = now();
      setTime(from, new Date(start).toISOString());
      setTime(to, new Date(end).toISOString());
      key.hidden = !spans.some(({ p50, began }) => Number.isFinite(p50) && Number.isFinite(began));
    }
    if (!isScrolled) bringIntoSight(found);
  }

  /** Of many stages, the one that goes on; once, as whoever has scrolled on since has a reason. */
  function bringIntoSight(found) {
    const current = found.findIndex((stage) => stage.status === "running");
    if (current < 0) return;
    isScrolled = true;
    const row = rows[current].element;
    scroller.scrollTop = row.offsetTop - scroller.offsetTop - (scroller.clientHeight - row.offsetHeight) / 2;
  }
  return { element, show };
}

/**
 * When a stage began and ended, in ms; how long it took, for how much of that it was surely at work (a job may have paused
 * before it was resumed), and how long it usually takes, in seconds. NaN is what isn't known.
 */
function spanOf(stage, usual, at, resumed) {
  const began = millis(stage.started_at);
  const ended = Number.isFinite(millis(stage.finished_at)) ? millis(stage.finished_at) : stage.status === "running" ? Math.max(at, began) : NaN;
  const told = stage.status === "running" ? null : stage.duration_seconds; // of a running one, until its last report
  const worked = (ended - Math.max(began, resumed || began)) / 1000;
  return { began, ended, seconds: told ?? (ended - began) / 1000, worked: told ?? worked, p50: usual?.p50 ?? NaN, p90: usual?.p90 ?? NaN };
}

function makeRow() {
  const name = h("b", { class: "cut", dir: "auto" });
  const mark = badge();
  const progress = bar();
  const amount = h("span", { class: "amount" });
  const took = h("span", { class: "took" });
  const usually = h("span", { class: "quiet", dir: "auto" });
  const late = h("span", { class: "late" });
  const why = h("p", { class: "why wrong", dir: "auto" });
  const gone = h("i", { class: "gone" });
  const usual = h("i", { class: "usual" });
  const track = h("div", { class: "track", "aria-hidden": "true" }, gone, usual);
  const element = h("li", { class: "stage" }, h("div", { class: "stage-name" }, name, mark.element),
    h("div", { class: "measure" }, progress.element, amount), h("div", { class: "stage-time" }, took, usually, late), track, why);

  let shown = "";
  const keyOf = ({ name: called, status, percent: far, error }) => `${called} ${status} ${far} ${Boolean(error)}`;

  function show(stage, { began, ended, seconds, worked, p50, p90 }, { start, end, reason, isNow, goesOn }) {
    const { status } = stage;
    shown = keyOf(stage);
    const waits = status === "pending" || status === "skipped";
    const isLate = (status === "finished" || (status === "running" && goesOn)) && worked > p90;
    say(name, stage.name);
    attribute(name, "title", stage.name);
    mark.show(status);
    element.classList.toggle("is-current", status === "running");
    element.classList.toggle("is-plain", ["pending", "finished", "skipped"].includes(status));
    progress.show(stage.name, stage.percent ?? (waits ? 0 : null), status);
    say(amount, waits ? "" : percent(stage.percent));
    say(took, !waits && Number.isFinite(seconds) ? duration(Math.max(0, seconds)) : "");
    say(usually, status === "skipped" ? (reason ?? "") : Number.isFinite(p50) ? `usually ${duration(p50)}, up to ${duration(p90)}` : "");
    say(late, isLate ? (status === "running" ? "overdue" : "longer than usual") : "");
    element.classList.toggle("is-late", isLate && status === "running");
    const { error } = stage;
    say(why, error ? [error.type, error.detail].filter(Boolean).join(": ") || "failed without saying why" : "");
    attribute(why, "title", why.textContent || null);
    track.hidden = !Number.isFinite(began) || waits;
    if (track.hidden) return;
    const part = (at) => Math.min(100, Math.max(0, (100 * (at - start)) / (end - start)));
    const place = (mark_, from, to) => {
      mark_.style.left = `${Math.min(99.5, part(from))}%`;
      mark_.style.width = `${Math.max(0.5, part(to) - part(from))}%`;
    };
    place(gone, began, ended);
    usual.hidden = !Number.isFinite(p50) || (!isNow && began + 1000 * p50 > end);
    if (!usual.hidden) place(usual, began + 1000 * p50, began + 1000 * p90);
  }
  return { element, show, isOther: (stage) => keyOf(stage) !== shown };
}
