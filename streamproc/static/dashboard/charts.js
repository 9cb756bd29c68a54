/** Charts, in the colours of the page, as wide as there is room. */

import { h } from "./dom.js";
import { moments } from "./format.js";
import UPlot from "./vendor/uplot.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * A chart. `set(data, about)` shows columns of numbers, the first being seconds since 1970, and says what they come to.
 *
 * @param options `height`; `series`: uPlot's, with the names of colours as `stroke` and `fill`; `values(ticks)`: the texts of the y axis;
 *   `bands`, `scales`: uPlot's
 */
export function chart({ height, series, values, bands = [], scales = {} }) {
  const element = h("div", { class: "chart", role: "img" });
  let plot = null;
  let data = null;

  function draw() {
    plot?.destroy();
    plot = null;
    const width = element.clientWidth;
    if (!data || !width) return;
    const axis = { stroke: color("ink-soft"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: `12px ${color("sans")}` };
    plot = new UPlot({
      width, height, scales, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
      axes: [{ ...axis, space: 100, values: (_, ticks) => moments(ticks) }, { ...axis, size: 84, values: (_, ticks) => values(ticks) }],
      bands: bands.map((band) => ({ ...band, fill: color(band.fill) })),
      series: [{}, ...series.map((each) => ({ ...each, stroke: color(each.stroke), fill: each.fill && color(each.fill), points: each.points ? { ...each.points, fill: color(each.stroke) } : { show: false } }))],
    }, data, element);
  }

  const resized = new ResizeObserver(() => {
    if (!plot) draw();
    else if (plot.width !== element.clientWidth && element.clientWidth) plot.setSize({ width: element.clientWidth, height });
  });
  resized.observe(element);
  dark.addEventListener("change", draw);
  return {
    element,
    set(columns, about) {
      data = columns;
      element.setAttribute("aria-label", about);
      if (plot) plot.setData(columns);
      else draw();
    },
    close() {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    },
  };
}
