/** Progress over time, from the job's history; and how its estimate moved, for as long as the page has been open. */

import { jobPath } from "./api.js";
import { chart } from "./charts.js";
import { h } from "./dom.js";
import { isFinal } from "./eta.js";
import { duration, instant, millis, now, percent } from "./format.js";

const MOST_MOMENTS = 48;
const LEAST_MOMENTS = 8;
const EVENTS_IN_ALL = 48_000;
const AT_ONCE = 2;
const BETWEEN_MS = 500;
const MOST_POINTS = 2_000;

/** How many moments of a history are asked for: to tell of one, the gateway folds all events before it. */
const momentsOf = (events) => Math.max(LEAST_MOMENTS, Math.min(MOST_MOMENTS, Math.floor((2 * EVENTS_IN_ALL) / Math.max(1, events))));

export function progressChart(job, client) {
  const percents = chart({
    height: 200, series: [{ stroke: "accent", fill: "accent-soft", width: 2, spanGaps: false }],
    scales: { y: { range: [0, 100] } }, values: (ticks) => ticks.map((tick) => `${tick} %`),
  });
  const ends = chart({
    height: 140, series: [{ stroke: "accent", width: 2 }, { stroke: "line", width: 1 }], bands: [{ series: [2, 1], fill: "accent-soft" }],
    values: (ticks) => ticks.map((tick) => instant(new Date(tick * 1000).toISOString())),
  });
  const estimates = h("div", { hidden: true }, h("h3", {}, "Estimated end, from p50 to p90, since this page was opened"), ends.element);
  const element = h("section", { hidden: true }, h("h2", {}, "Progress over time"), percents.element, estimates);
  const points = new Map();
  const estimated = [[], [], []];
  let isBegun = false;
  let isOver = false;
  let last = 0;

  async function readPast(snapshot) {
    const from = millis(snapshot.created_at);
    const to = millis(snapshot.updated_at);
    const count = to > from ? momentsOf(snapshot.events) : 0;
    const moments = Array.from({ length: count }, (_, at) => Math.round(from + ((to - from) * at) / count));
    const one = async () => {
      for (let at; !isOver && (at = moments.shift()) !== undefined; ) {
        try {
          const then = await client.get(jobPath(job, "", { at: new Date(at).toISOString() }));
          points.set(at, then.percent);
          draw();
        } catch (error) {
          if (error.status !== 404 && error.status !== 410) return; // 404: it wasn't there yet; 410: that past is gone
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  }

  function draw() {
    const found = [...points].sort(([a], [b]) => a - b);
    element.hidden = found.length < 2;
    const known = found.map(([, value]) => value).filter(Number.isFinite);
    percents.set([found.map(([at]) => at / 1000), found.map(([, value]) => value)],
      `Progress from ${percent(known[0])} to ${percent(known.at(-1))} in ${duration((found.at(-1)?.[0] - found[0]?.[0]) / 1000)}`);
    estimates.hidden = estimated[0].length < 2;
    if (!estimates.hidden) ends.set(estimated, `Estimated end, last between ${instant(new Date(estimated[1].at(-1) * 1000).toISOString())} and ${instant(new Date(estimated[2].at(-1) * 1000).toISOString())}`);
  }

  function show(_, live) {
    if (!isBegun) {
      isBegun = true;
      readPast(live);
    }
    if (now() - last < BETWEEN_MS && !isFinal(live)) return;
    last = now();
    const at = millis(live.updated_at);
    if (points.get(at) !== live.percent || !points.has(at)) points.set(at, live.percent);
    if (points.size > MOST_POINTS) points.delete(points.keys().next().value);
    const [p50, p90] = [millis(live.eta?.finish_at?.p50) / 1000, millis(live.eta?.finish_at?.p90) / 1000];
    if (Number.isFinite(p50) && Number.isFinite(p90) && last / 1000 > (estimated[0].at(-1) ?? 0)) {
      [last / 1000, p50, p90].forEach((value, column) => estimated[column].push(value));
      if (estimated[0].length > MOST_POINTS) estimated.forEach((column) => column.shift());
    }
    draw();
  }
  return {
    element,
    show,
    close() {
      isOver = true;
      percents.close();
      ends.close();
    },
  };
}
