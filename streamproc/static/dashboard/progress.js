/** A job's progress over time, and how its estimate moved: from before the page was opened up to now. */

import { chart } from "./charts.js";
import { h, say } from "./dom.js";
import { elapsed, isFinal } from "./eta.js";
import { NONE, duration, instant, millis, moments as ticksOf, now, percent } from "./format.js";
import { jobWay } from "./way.js";

const LEAST_MS = 1_000;
const LEAST_SPAN_MS = 2_000;
const MOST_ROWS = 40;
const BETWEEN_MS = 500;

/** The charts; `slider` is told where somebody clicks, and tells which moment is looked at. */
export function progressChart(job, client, slider) {
  const way = jobWay(job, client, () => draw());
  let live = null;
  let chosen = null;
  let pointed = null;
  let span = [NaN, NaN];
  let drawn = 0;

  const group = `way ${job}`;
  const shared = { group, pointed: point, picked: (seconds) => slider.go(Math.round(seconds * 1000)) };
  const x = { time: true, range: () => span.map((at) => at / 1000) };
  const percents = chart({
    ...shared, height: 176, series: [{ stroke: "accent", fill: "accent-soft", width: 2 }], scales: { x, y: { range: [0, 100] } },
    values: (ticks) => ticks.map((tick) => `${tick} %`), marks: () => [...marks(), ...marker()],
  });
  const ends = chart({
    ...shared, height: 152, series: [{ stroke: "accent", width: 2 }, { stroke: "accent", width: 1, dash: [3, 3] }], bands: [{ series: [2, 1], fill: "accent-soft" }],
    scales: { x, y: { time: true, range: reach } }, values: ticksOf, levels,
    marks: () => [...marks(), ...marker()].map((mark) => ({ ...mark, text: null })),
  });
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const said = h("p", { class: "quiet", role: "status" });
  const key = h("p", { class: "key" }, keyed("p50", "as likely before as after"), keyed("p90", "nine in ten before"), keyed("ended", "when it ended"));
  const estimated = h("div", { class: "estimated", hidden: true }, h("div", { class: "chart-head" }, h("h3", {}, "Estimated end"), key), ends.element);
  const table = momentsTable(() => way.moments);
  const element = h("section", { class: "way" }, h("div", { class: "chart-head" }, h("h2", {}, "Progress over time"), readout),
    said, percents.element, estimated, table.element);

  slider.watch((at) => {
    chosen = at;
    percents.draw();
    ends.draw();
    tell();
  });

  function point(at) {
    if (at === pointed) return;
    pointed = at;
    tell();
  }

  /** What of the job's course is marked: where attempts and stages begin. */
  function marks() {
    const found = [];
    way.moments.forEach(({ at, attempt }, number) => {
      if (number && attempt > way.moments[number - 1].attempt) found.push({ at: at / 1000, text: `Attempt ${attempt}`, color: "ink-soft" });
    });
    for (const stage of live?.stages ?? []) {
      const at = millis(stage.started_at);
      if (Number.isFinite(at)) found.push({ at: at / 1000, text: stage.name, color: "ink-soft" });
    }
    return found.sort((one, other) => one.at - other.at);
  }

  const marker = () => (chosen === null ? [] : [{ at: chosen / 1000, text: null, color: "warn", isStrong: true }]);

  function levels() {
    const at = isFinal(live) ? millis(live.finished_at) / 1000 : NaN;
    return Number.isFinite(at) ? [{ value: at, text: `ended ${instant(live.finished_at)}`, color: "ink" }] : [];
  }

  /** From the earliest end to the latest. A few that were far too late must not press all others together. */
  function reach() {
    const known = way.moments.filter((moment) => Number.isFinite(moment.p50));
    const real = levels().map((level) => level.value * 1000);
    const [low] = [Math.min(...known.map((moment) => moment.p50), ...real)];
    const likely = Math.max(...real, quantile(known.map((moment) => moment.p50), 0.98));
    const late = Math.min(quantile(known.map((moment) => moment.p90), 0.95), likely + (likely - span[0]));
    const high = Math.max(likely, late, known.at(-1)?.p90 ?? 0, low + LEAST_SPAN_MS);
    const beside = (high - low) / 12;
    return [(low - beside) / 1000, (high + beside) / 1000];
  }

  /** The columns of the charts; what was known last holds until now. */
  function columns() {
    const last = way.moments.at(-1);
    const all = last && !isFinal(live) && span[1] > last.at ? [...way.moments, { ...last, at: span[1] }] : way.moments;
    const column = (name, by = 1) => all.map((moment) => (Number.isFinite(moment[name]) ? moment[name] / by : null));
    return { at: column("at", 1000), percent: column("percent"), p50: column("p50", 1000), p90: column("p90", 1000) };
  }

  function draw() {
    if (!live) return;
    drawn = now();
    const begun = millis(live.created_at);
    const over = isFinal(live) ? millis(live.finished_at) : now();
    span = [begun, Math.max(over, begun + LEAST_SPAN_MS)];
    const found = columns();
    const isBrief = over - begun < LEAST_MS;
    const hasPercents = !isBrief && found.percent.filter((value) => value !== null).length > 1;
    const hasEnds = !isBrief && found.p50.filter((value) => value !== null).length > 1;
    const [text, isWaiting] = missing(way, live, hasPercents || hasEnds);
    say(said, text);
    said.hidden = !text;
    element.classList.toggle("is-waiting", isWaiting);
    percents.element.hidden = !hasPercents;
    estimated.hidden = !hasEnds;
    table.element.hidden = !hasPercents && !hasEnds;
    if (hasPercents) percents.set([found.at, found.percent], aboutPercents(way.moments));
    if (hasEnds) ends.set([found.at, found.p50, found.p90], aboutEnds(way.moments, live));
    key.lastChild.hidden = !isFinal(live);
    table.show();
    tell();
  }

  /** What the charts show under the pointer, or else where the slider stands, or else last. */
  function tell() {
    const index = pointed ?? (chosen === null ? -1 : way.moments.findLastIndex((each) => each.at <= chosen));
    const moment = way.moments[index] ?? way.moments.at(-1);
    readout.hidden = percents.element.hidden && estimated.hidden;
    if (!moment) return;
    const end = Number.isFinite(moment.p50) ? `end ${clock(moment.p50)} to ${clock(moment.p90)}` : "";
    say(readout, [clock(moment.at), Number.isFinite(moment.percent) ? percent(moment.percent) : moment.status, end].filter(Boolean).join(" · "));
  }

  function show(_, newest) {
    live = newest;
    way.show(live);
    if (now() - drawn >= BETWEEN_MS || isFinal(live)) draw();
  }
  return {
    element,
    show,
    close() {
      way.close();
      percents.close();
      ends.close();
    },
  };
}

const clock = (at) => (Number.isFinite(at) ? instant(new Date(at).toISOString()) : NONE);
const keyed = (name, text) => h("span", {}, h("i", { class: `swatch ${name}` }), text);

function quantile(values, share) {
  const sorted = values.filter(Number.isFinite).sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? -Infinity;
}

/** Why there is no chart, or not all of it, and whether it will come. */
function missing(way, live, isAny) {
  const why = way.problem;
  if (way.isReading) return [why ? "Its history is long, and is being read…" : "Reading its history…", !isAny];
  if (why?.status === 410) return ["The beginning of its history isn't kept any more: this is what came since the page was opened.", false];
  if (why) return [`What was before can't be shown now: ${why.message}`, false];
  if (isAny) return ["", false];
  if (isFinal(live) && way.moments.length > 1) return [`It was over ${elapsed(live) * 1000 < LEAST_MS ? `in ${duration(elapsed(live))}, too soon for a chart` : "without having said how far it was"}.`, false];
  return ["It hasn't said yet how far it is. The chart begins with the first it says.", false];
}

function aboutPercents(moments) {
  const known = moments.filter((moment) => Number.isFinite(moment.percent));
  return `Progress from ${percent(known[0]?.percent)} at ${clock(known[0]?.at)} to ${percent(known.at(-1)?.percent)} at ${clock(known.at(-1)?.at)}`;
}

function aboutEnds(moments, live) {
  const known = moments.filter((moment) => Number.isFinite(moment.p50));
  const [first, last] = [known[0], known.at(-1)];
  const told = `Estimated end: at first between ${clock(first.p50)} and ${clock(first.p90)}, at last between ${clock(last.p50)} and ${clock(last.p90)}`;
  if (!isFinal(live)) return told;
  const off = (millis(live.finished_at) - first.p50) / 1000;
  return `${told}. It ended at ${instant(live.finished_at)}, ${duration(Math.abs(off))} ${off < 0 ? "before" : "after"} the first`;
}

/** The same as a table, for who can't see the charts or wants the figures: some moments, the first and the last among them. */
function momentsTable(moments) {
  const body = h("tbody");
  const element = h("details", { class: "as-table", hidden: true }, h("summary", {}, "As a table"),
    h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Moments" },
      h("table", {}, h("thead", {}, h("tr", {}, ...["Moment", "Status", "Progress", "Likely end (p50)", "Nine in ten before (p90)"].map((text) => h("th", { scope: "col" }, text)))), body)));
  function show() {
    if (!element.open) return;
    const all = moments();
    const every = Math.max(1, Math.ceil((all.length - 1) / (MOST_ROWS - 1)));
    const some = all.filter((_, at) => at % every === 0 || at === all.length - 1);
    const rows = some.map(({ at, status, percent: value, p50, p90 }) => [clock(at), status, percent(value), clock(p50), clock(p90)]);
    const told = JSON.stringify(rows);
    if (body.dataset.told === told) return;
    body.dataset.told = told;
    body.replaceChildren(...rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), ...rest.map((text) => h("td", {}, text)))));
  }
  element.addEventListener("toggle", show);
  return { element, show };
}
