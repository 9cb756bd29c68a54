/** One kind: how its runs went over time, its stages, and how often the estimates of it held. */

import { client } from "./api.js";
import { chart } from "./charts.js";
import { h } from "./dom.js";
import { duration, millis, number, percent, share, time } from "./format.js";
import { poll } from "./poll.js";
import { failed, loading } from "./states.js";
import { figures, table } from "./table.js";

const REFRESH_MS = 5_000;

export function open(place, kind) {
  const dots = { width: 0, points: { show: true, size: 8, width: 0 } };
  const durations = chart({
    height: 220, values: (ticks) => ticks.map((tick) => duration(tick)),
    series: [{ ...dots, stroke: "accent", paths: () => null }, { ...dots, stroke: "bad", paths: () => null }],
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 0.1) * 1.1] } },
  });
  const found = h("div", {}, loading("the kind"));
  place.append(h("h1", { dir: "auto" }, kind), h("p", { class: "lead" }, h("a", { href: `#/jobs?kind=${encodeURIComponent(kind)}` }, "Its jobs")), found);
  let last = "";

  async function refresh() {
    const told = await client.get(`/v1/kinds/${encodeURIComponent(kind)}`);
    const key = JSON.stringify(told);
    if (key === last) return;
    last = key;
    const runs = [...told.latest].reverse();
    const of = (test) => runs.map((run) => (test(run.outcome) ? run.duration_seconds : null));
    found.replaceChildren(h("div", { class: "stack" }, h("section", {}, h("h2", {}, "So far"), summary(told)),
      ...(runs.length ? [h("section", {}, h("h2", {}, "Durations of the latest runs"), durations.element, h("p", { class: "quiet" }, "Each dot is a run: those that finished, and in red those that didn't."))] : []),
      ...(told.stages.length ? [stages(told.stages)] : [])));
    if (runs.length) {
      durations.set([runs.map((run) => millis(run.ended_at) / 1000), of((outcome) => outcome === "finished"), of((outcome) => outcome !== "finished")],
        `${number(runs.length)} runs, half of those that finished within ${duration(told.duration_seconds?.p50)}`);
    }
  }

  const polled = poll("kind", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return {
    close() {
      polled.close();
      durations.close();
    },
  };
}

const summary = (told) => figures([
  ["Active", number(told.active.started + told.active.running + told.active.paused)], ["Queued", number(told.active.queued)],
  ["On average", percent(told.average_percent)], ["Runs", number(told.runs)],
  ["Half take at most", duration(told.duration_seconds?.p50)], ["Nine in ten at most", duration(told.duration_seconds?.p90)],
  ["Half wait at most", duration(told.waited_seconds?.p50)], ["Failed", share(told.failure_rate)],
  ["p90 held", share(told.calibration.p90_held)], ["p50 held", share(told.calibration.p50_held)],
  ["Predictions", number(told.calibration.predictions)], ["Last ended", time(told.last_ended_at)],
]);

const stages = (all) => table("Stages", ["Stage", "Runs", "Takes (p50)", "At most (p90)", "Skipped"],
  all.map((stage) => [stage.name, number(stage.runs), duration(stage.duration_seconds?.p50), duration(stage.duration_seconds?.p90), share(stage.skipped)]));
