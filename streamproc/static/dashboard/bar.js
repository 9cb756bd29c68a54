/** Progress bars, as WAI-ARIA says: with a value and a text, or without a value where nobody knows how far it is. */

import { attribute, h } from "./dom.js";
import { percent } from "./format.js";

const LOOKS = { failed: "failed", canceled: "canceled", finished: "finished", paused: "paused", skipped: "canceled" };

/** A bar. `show(label, value, status)`: a name, 0 to 100 or null, and the status of what it is of. */
export function bar() {
  const fill = h("i");
  const element = h("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  function show(label, value, status, stalled = false) {
    const known = Number.isFinite(value);
    const waits = status === "queued" || status === "pending";
    const shown = known ? Math.min(100, Math.max(0, value)) : 0;
    attribute(element, "aria-label", `Progress of ${label}`);
    attribute(element, "aria-valuenow", known ? shown : null);
    attribute(element, "aria-valuetext", known ? `${percent(shown)}, ${status}` : `${status}, not known how far`);
    const looks = stalled ? "stalled" : (LOOKS[status] ?? "running");
    const restless = !known && !waits && looks === "running";
    const name = `bar ${looks}${restless ? " indeterminate" : ""}`;
    if (element.className !== name) element.className = name;
    const scale = `scaleX(${restless ? 1 : shown / 100})`;
    if (fill.style.transform !== scale) fill.style.transform = scale;
  }
  return { element, show };
}

/** How a job stands, in a word with a mark; `show(status, stalled)`. */
export function badge() {
  const element = h("span", { class: "badge" });
  function show(status, stalled = false) {
    const name = stalled ? "stalled" : String(status ?? "unknown");
    if (element.textContent === name) return;
    element.textContent = name;
    element.className = `badge ${/^[a-z]+$/.test(name) ? name : ""}`;
  }
  return { element, show };
}
