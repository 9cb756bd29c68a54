/** How many events a second there were in the last minutes, as a drawing. */

import { moments, number } from "./format.js";
import { inShort } from "./rates.js";
import { s } from "./svg.js";

const HIGH = 150;
const SIZE = { left: 64, right: 12, top: 12, bottom: 24 };
const TEXT_PX = 110;
const LEAST_MS = 60_000;

/** The drawing; `samples` as `rates.js` keeps them, at least one. */
export function flow(samples, width) {
  const end = samples.at(-1).to;
  const begin = Math.min(samples[0].from, end - LEAST_MS);
  const most = roundUp(Math.max(...samples.map((each) => each.rate)));
  const right = width - SIZE.right;
  const bottom = HIGH - SIZE.bottom;
  const x = (at) => SIZE.left + ((right - SIZE.left) * (at - begin)) / (end - begin);
  const y = (rate) => bottom - ((bottom - SIZE.top) * rate) / most;
  const way = samples.map((each) => `L${x(each.from).toFixed(1)} ${y(each.rate).toFixed(1)}L${x(each.to).toFixed(1)} ${y(each.rate).toFixed(1)}`).join("");
  const count = Math.max(1, Math.floor((right - SIZE.left) / TEXT_PX));
  const ticks = Array.from({ length: count }, (_, at) => begin + ((end - begin) * (at + 0.5)) / count);
  const texts = moments(ticks.map((tick) => Math.round(tick / 1000)));
  return s("svg", { class: "plot flow", viewBox: `0 0 ${width} ${HIGH}`, width, height: HIGH, role: "img", "aria-label": about(samples) },
    [0, most / 2, most].map((tick) => [
      s("line", { class: "grid", x1: SIZE.left, x2: right, y1: y(tick), y2: y(tick) }),
      s("text", { class: "beside", x: SIZE.left - 8, y: y(tick) + 4 }, number(tick)),
    ]),
    s("path", { class: "area", d: `M${x(samples[0].from).toFixed(1)} ${bottom}${way}L${x(end).toFixed(1)} ${bottom}Z` }),
    s("path", { class: "line", d: `M${way.slice(1)}` }),
    ticks.map((tick, at) => s("text", { class: "below", x: x(tick), y: bottom + 18 }, texts[at])));
}

/** What the drawing says, in words. */
export function about(samples) {
  const all = samples.map((each) => each.rate);
  return `${number(inShort(all.at(-1)))} events a second now, ${number(inShort(Math.min(...all)))} to ${number(inShort(Math.max(...all)))} in the last ${minutes(samples)}`;
}

function minutes(samples) {
  const found = Math.max(1, Math.round((samples.at(-1).to - samples[0].from) / 60_000));
  return found === 1 ? "minute" : `${number(found)} minutes`;
}

/** The next round number, that a half of is one too. */
function roundUp(value) {
  const least = Math.max(value, 1);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 4, 6, 8, 10].map((each) => each * power).find((each) => each >= least);
}
