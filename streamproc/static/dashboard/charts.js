/** Charts, in the colours of the page, as wide as there is room. */

import { h } from "./dom.js";
import { moments } from "./format.js";
import UPlot from "./vendor/uplot.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
/** How far apart the ticks of a time axis may be: nobody reads parts of a second off a chart. */
const APART = [
  1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
  DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 60 * DAY, 180 * DAY, YEAR, 2 * YEAR, 5 * YEAR, 10 * YEAR, 25 * YEAR, 50 * YEAR, 100 * YEAR,
];
const TEXT_PX = 12;
const TEXT_MOST = 24;
const BESIDE_TEXT_PX = 8;
const HALF_LABEL_PX = 32;
const BESIDE_LINE_PX = 6;

const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * A chart. `set(data, about)` shows columns of numbers, the first being seconds since 1970, and says what they come to;
 * `draw()` shows its marks anew.
 *
 * @param options `height`; `series`: uPlot's, with the names of colours as `stroke` and `fill`; `values(ticks)`: the texts of the y axis;
 *   `bands`, `scales`: uPlot's, and a scale with `time` is one of instants; `group`: charts of the same name point at the same moment;
 *   `pointed(at)`: is told the index that is pointed at, or null; `picked(seconds)`: where the chart was clicked;
 *   `marks()`: moments that are marked, `[{at, text, color, isStrong}]`; `levels()`: the same across, `[{value, text, color}]`
 */
export function chart({ height, series, values, bands = [], scales, group, pointed, picked, marks, levels = () => [] }) {
  const element = h("div", { class: "chart", role: "img" });
  let plot = null;
  let data = null;

  function make() {
    plot?.destroy();
    plot = null;
    const width = element.clientWidth;
    if (!data || !width) return;
    const axis = { stroke: color("ink-soft"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: `${TEXT_PX}px ${color("sans")}`, gap: 6 };
    plot = new UPlot({
      width, height, scales, legend: { show: false }, padding: [8, HALF_LABEL_PX, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 }, sync: { key: group, scales: ["x", null], setSeries: false } },
      axes: [
        { ...axis, incrs: APART, space: 90, size: 26, values: (_, ticks) => moments(ticks) },
        { ...axis, ...(scales.y.time && { incrs: APART }), space: 24, size: width < 480 ? 64 : 84, values: (_, ticks) => values(ticks) },
      ],
      bands: bands.map((band) => ({ ...band, fill: color(band.fill) })),
      series: [{}, ...series.map((each) => ({ ...each, stroke: color(each.stroke), fill: each.fill && color(each.fill), points: { show: false } }))],
      hooks: {
        drawAxes: [(drawn) => marks().forEach(line(drawn, false))],
        draw: [(drawn) => levels().forEach((level) => across(drawn, level)), (drawn) => marks().forEach(line(drawn, true))],
        setCursor: [({ cursor }) => pointed(cursor.left < 0 ? null : (cursor.idx ?? null))],
      },
    }, data, element);
    plot.over.addEventListener("click", (event) => picked(plot.posToVal(event.offsetX, "x")));
  }

  const resized = new ResizeObserver(() => {
    if (plot?.width !== element.clientWidth) make(); // the room for its texts is another, too
  });
  resized.observe(element);
  dark.addEventListener("change", make);
  return {
    element,
    set(columns, about) {
      data = columns;
      element.setAttribute("aria-label", about);
      if (plot) plot.setData(columns);
      else make();
    },
    draw: () => plot?.redraw(false),
    close() {
      resized.disconnect();
      dark.removeEventListener("change", make);
      plot?.destroy();
    },
  };
}

/** Draws those lines down a chart that are strong, or those that aren't; a text beside each. Those go first that come first. */
function line(plot, isStrong) {
  const { ctx, bbox } = plot;
  const scale = UPlot.pxRatio;
  let taken = -Infinity;
  return (mark) => {
    if (Boolean(mark.isStrong) !== isStrong) return;
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) return;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = color(mark.color);
    ctx.lineWidth = (isStrong ? 2 : 1) * scale;
    ctx.setLineDash(isStrong ? [] : [2 * scale, 3 * scale]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    if (isStrong || x >= taken) {
      ctx.stroke();
      taken = Math.max(x + BESIDE_LINE_PX * scale, write(plot, mark.text, x, bbox.top + TEXT_PX * scale, taken));
    }
    ctx.restore();
  };
}

/** Draws a line across a chart. */
function across(plot, level) {
  const { ctx, bbox } = plot;
  const scale = UPlot.pxRatio;
  const y = Math.round(plot.valToPos(level.value, "y", true));
  if (y < bbox.top - 1 || y > bbox.top + bbox.height + 1) return;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color(level.color);
  ctx.lineWidth = 1.5 * scale;
  ctx.setLineDash([6 * scale, 4 * scale]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  const isLow = y - bbox.top > 2 * TEXT_PX * scale;
  write(plot, level.text, bbox.left, y + (isLow ? -6 : TEXT_PX + 4) * scale, bbox.left);
  ctx.restore();
}

/** Writes a short text beside a place, where there is room from `taken` on; returns where it ends. */
function write(plot, text, x, y, taken) {
  if (!text) return x;
  const { ctx, bbox } = plot;
  const scale = UPlot.pxRatio;
  const short = text.length > TEXT_MOST ? `${text.slice(0, TEXT_MOST - 1)}…` : text;
  ctx.font = `${(TEXT_PX - 1) * scale}px ${color("sans")}`;
  const wide = ctx.measureText(short).width + BESIDE_TEXT_PX * scale;
  const isAfter = x + wide <= bbox.left + bbox.width;
  if (!isAfter && x - wide < taken) return x;
  const from = x + (isAfter ? 0 : -wide) + (BESIDE_TEXT_PX / 2) * scale;
  ctx.textAlign = "left";
  ctx.setLineDash([]);
  ctx.lineWidth = 3 * scale;
  ctx.strokeStyle = color("surface");
  ctx.strokeText(short, from, y);
  ctx.fillText(short, from, y);
  return isAfter ? x + wide : x;
}
