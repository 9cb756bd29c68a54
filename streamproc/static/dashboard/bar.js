/** Progress bars, as WAI-ARIA says: with a value and a text, or without a value where nobody knows how far it is. */

import { attribute, h } from "./dom.js";
import { percent } from "./format.js";

const LOOKS = { failed: "failed", canceled: "canceled", finished: "finished", paused: "paused", skipped: "canceled" };

/** A bar. `show(label, value, status)`: a name, 0 to 100 or null, and the status of what it is of. */
export function bar() {
  const element = h("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" });
  let shown = null;
  function show(label, value, status, stalled = false) {
    const known = Number.isFinite(value);
    const waits = status === "queued" || status === "pending";
    const filled = known ? Math.min(100, Math.max(0, value)) : 0;
    const looks = stalled ? "stalled" : (LOOKS[status] ?? "running");
    const restless = !known && !waits && looks === "running";
    const name = `bar ${looks}${restless ? " indeterminate" : ""}`;
    const text = known ? `${percent(filled)}, ${status}` : `${status}, not known how far`;
    if (shown?.label !== label) attribute(element, "aria-label", `Progress of ${label}`);
    if (shown?.text !== text) attribute(element, "aria-valuetext", text);
    if (shown?.name !== name) element.className = name;
    if (shown?.known !== known || shown.filled !== filled) {
      attribute(element, "aria-valuenow", known ? filled : null);
      element.style.backgroundSize = `${filled}% 100%`; // is painted, and not laid out
    }
    shown = { label, text, name, known, filled };
  }
  return { element, show };
}

/** How a job stands, in a word with a mark; `show(status, stalled)`. */
export function badge() {
  const element = h("span", { class: "badge" });
  let shown = null;
  function show(status, stalled = false) {
    const name = stalled ? "stalled" : String(status ?? "unknown");
    if (shown === name) return;
    shown = element.textContent = name;
    element.className = `badge ${/^[a-z]+$/.test(name) ? name : ""}`;
  }
  return { element, show };
}
