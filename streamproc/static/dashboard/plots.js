/** What a kind's runs come to, drawn one beside the other as they ended: how long each took, and how many of them failed. */

import { exact, moments, number, share } from "./format.js";
import { mark, s } from "./svg.js";
import { axis, took } from "./took.js";

const SIZE = { left: 64, right: 56, top: 12, bottom: 24 };
const TEXT_PX = 84;
/** Failures are counted of so many runs each. */
const BUCKET = 10;
const RADIUS = 4;

/** Where things are in a plot that is so wide and high, of so many runs; `place` gives 0 to 1 for values. */
function frame(width, height, count, place) {
  const wide = Math.max(1, width - SIZE.left - SIZE.right);
  const high = height - SIZE.top - SIZE.bottom;
  return {
    x: (at) => SIZE.left + (wide * (at + 0.5)) / count,
    edge: (at) => SIZE.left + (wide * at) / count,
    y: (value) => SIZE.top + high * (1 - place(value)),
    left: SIZE.left, right: SIZE.left + wide, bottom: SIZE.top + high,
  };
}

const drawing = (width, height, label, ...children) =>
  s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label }, ...children);

const across = (at, name, ticks) => ticks.map((tick) => [
  s("line", { class: "grid", x1: at.left, x2: at.right, y1: at.y(tick), y2: at.y(tick) }),
  s("text", { class: "beside", x: at.left - 8, y: at.y(tick) + 4 }, name(tick)),
]);

/** The instants below: as many as there is room for. */
function below(at, runs) {
  const every = Math.max(1, Math.ceil(runs.length / Math.max(1, Math.floor((at.right - at.left) / TEXT_PX))));
  const places = runs.map((_, index) => index).filter((index) => index % every === 0);
  const seconds = (index) => Date.parse(runs[index].ended_at) / 1000;
  const span = Math.max(1, seconds(runs.length - 1) - seconds(0)); // runs are beside one another however far apart they ended
  return places.map((index) => s("text", { class: "below", x: at.x(index), y: at.bottom + 18 }, moments([seconds(index), seconds(index) + span])[0]));
}

/**
 * How long runs took, each a mark that is a link where its job is known. The links are one stop of the tab key: arrow keys go on.
 *
 * @param runs the oldest first
 * @param usual the quantiles of those that finished, or null
 * @param linkOf the address of a run's job, or null
 */
export function durations(runs, usual, linkOf, width) {
  const height = 240;
  const scale = axis(runs.map((run) => run.duration_seconds));
  const at = frame(width, height, runs.length, scale.place);
  const levels = usual ? [["p90", usual.p90], ["typical", usual.p50]] : [];
  const isTight = usual && Math.abs(at.y(usual.p50) - at.y(usual.p90)) < 14;
  const dots = runs.map((run, index) => dot(run, linkOf(run), at.x(index), at.y(run.duration_seconds)));
  const links = dots.filter((each) => each.localName === "a");
  links.slice(0, -1).forEach((link) => link.setAttribute("tabindex", "-1"));
  const drawn = drawing(width, height, "Runs", across(at, took, scale.ticks), below(at, runs),
    levels.map(([name, value], index) => [
      s("line", { class: `level ${name}`, x1: at.left, x2: at.right, y1: at.y(value), y2: at.y(value) }),
      s("text", { class: "level-name", x: at.right + 6, y: at.y(value) + (isTight ? (index ? 12 : -4) : 4) }, name),
    ]),
    dots);
  drawn.addEventListener("keydown", (event) => {
    const place = links.indexOf(document.activeElement);
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: links.length - 1 }[event.key];
    if (place < 0 || !links[to]) return;
    event.preventDefault();
    links[place].setAttribute("tabindex", "-1");
    links[to].removeAttribute("tabindex");
    links[to].focus();
  });
  return drawn;
}

function dot(run, href, x, y) {
  const about = `${run.outcome} after ${took(run.duration_seconds)}, ${exact(run.ended_at).split(" · ")[0]}`;
  const drawn = [s("title", {}, about), s("circle", { class: "reach", cx: x, cy: y, r: 9 }), mark(run.outcome, x, y, RADIUS)];
  return href ? s("a", { href, "aria-label": about, class: "dot" }, drawn) : s("g", { class: "dot" }, drawn);
}

/** What share of runs failed, of ten at a time, below how long they took. */
export function failures(runs, width) {
  const height = 120;
  const at = frame(width, height, runs.length, (value) => value);
  const buckets = bucketsOf(runs);
  return drawing(width, height, "Failures", across(at, share, [0, 0.5, 1]), below(at, runs), buckets.map(({ begin, end, failed, counted, rate }) => {
    if (rate === null) return null;
    const from = at.edge(begin) + 1;
    const about = `${number(failed)} of ${number(counted)} failed, to ${exact(runs[end - 1].ended_at).split(" · ")[0]}`;
    return s("g", {}, s("title", {}, about), s("rect", { class: "reach", x: from, y: SIZE.top, width: at.edge(end) - from - 1, height: at.bottom - SIZE.top }),
      s("rect", { class: rate ? "share" : "share none", x: from, y: at.y(rate) - (rate ? 0 : 2), width: at.edge(end) - from - 1, height: at.bottom - at.y(rate) + (rate ? 0 : 2) }));
  }));
}

/** Runs by tens, the last ones whole: where each begins and ends, and which share of those that finished or failed did fail. */
function bucketsOf(runs) {
  const found = [];
  for (let end = runs.length; end > 0; end -= BUCKET) {
    const begin = Math.max(0, end - BUCKET);
    const outcomes = runs.slice(begin, end).map((run) => run.outcome);
    const failed = outcomes.filter((outcome) => outcome === "failed").length;
    const counted = failed + outcomes.filter((outcome) => outcome === "finished").length;
    found.unshift({ begin, end, failed, counted, rate: counted ? failed / counted : null });
  }
  return found;
}

/** What the drawings come to, in words. */
export function inWords(runs, usual) {
  const failed = runs.filter((run) => run.outcome === "failed").length;
  const canceled = runs.filter((run) => run.outcome === "canceled").length;
  const all = runs.map((run) => run.duration_seconds);
  const parts = [`${number(runs.length)} ${runs.length === 1 ? "run" : "runs"}, the shortest ${took(Math.min(...all))}, the longest ${took(Math.max(...all))}`];
  if (usual) parts.push(`half of those that finished within ${took(usual.p50)}, nine in ten within ${took(usual.p90)}`);
  parts.push(failed ? `${number(failed)} failed` : "none failed");
  if (canceled) parts.push(`${number(canceled)} ${canceled === 1 ? "was" : "were"} canceled`);
  return `${parts.join("; ")}.${axis(all).isByPowers ? " The scale is by powers, as some took many times as long as others." : ""}`;
}
