/** The latest runs of a kind in the room of a table's cell: how long each took, and which of them failed. */

import { number } from "./format.js";
import { mark, s } from "./svg.js";
import { axis, took } from "./took.js";

const RUNS = 20;
const WIDE = 124;
const HIGH = 28;
const EDGE = 4;

/** The drawing; `latest` are the runs, the newest first. Null where there are none. */
export function trend(latest) {
  const runs = latest.slice(0, RUNS).reverse();
  if (!runs.length) return null;
  const scale = axis(runs.map((run) => run.duration_seconds));
  const apart = (WIDE - 2 * EDGE) / (RUNS - 1);
  const place = (run, at) => [WIDE - EDGE - (runs.length - 1 - at) * apart, HIGH - EDGE - (HIGH - 2 * EDGE) * scale.place(run.duration_seconds)];
  const line = runs.map((run, at) => place(run, at).map((each) => each.toFixed(1)).join(" ")).join("L");
  return s("svg", { class: "trend", viewBox: `0 0 ${WIDE} ${HIGH}`, width: WIDE, height: HIGH, role: "img", "aria-label": about(runs) },
    s("path", { class: "way", d: `M${line}` }), runs.map((run, at) => mark(run.outcome, ...place(run, at), 2)));
}

function about(runs) {
  const all = runs.map((run) => run.duration_seconds);
  const failed = runs.filter((run) => run.outcome === "failed").length;
  return `The latest ${number(runs.length)} runs took ${took(Math.min(...all))} to ${took(Math.max(...all))}, ${failed ? `${number(failed)} failed` : "none failed"}`;
}
