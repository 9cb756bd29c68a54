/** A slider over a job's time: whoever moves it sees the job as it was then. */

import { jobPath } from "./api.js";
import { afterQuiet, attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { exact, instant, millis, now } from "./format.js";

const STEPS = 1_000;
const QUIET_MS = 80;

/** The slider; `moved` is told the snapshot of a moment, or null for now. */
export function pastSlider(job, client, moved, first = null) {
  const slider = h("input", { type: "range", min: "0", max: String(STEPS), value: String(STEPS), id: "moment" });
  const label = h("output", { for: "moment" }, "now");
  const back = h("button", { type: "button", hidden: true, onclick: toNow }, "Back to now");
  const element = h("section", { class: "past" }, h("label", { for: "moment" }, "As it was at"), slider, label, back);
  let span = [NaN, NaN];
  let asked = 0;

  slider.addEventListener("input", () => {
    if (Number(slider.value) === STEPS) toNow();
    else go(new Date(span[0] + ((span[1] - span[0]) * Number(slider.value)) / STEPS).toISOString());
  });

  function go(at) {
    asked += 1;
    back.hidden = false;
    say(label, instant(at));
    attribute(label, "title", exact(at));
    attribute(slider, "aria-valuetext", instant(at));
    load(at, asked);
  }

  const load = afterQuiet(QUIET_MS, async (at, mine) => {
    try {
      const snapshot = await client.get(jobPath(job, "", { at }));
      if (mine === asked) moved(snapshot);
    } catch (error) {
      if (mine === asked) say(label, error.message);
    }
  });

  function toNow() {
    asked += 1;
    load.cancel();
    slider.value = String(STEPS);
    back.hidden = true;
    say(label, "now");
    attribute(slider, "aria-valuetext", "now");
    moved(null);
  }

  /** The span grows while the job goes on; what is chosen stays where it is until the slider is moved again. */
  function show(_, live) {
    if (!back.hidden) return;
    span = [millis(live.created_at), isFinal(live) ? millis(live.updated_at) : Math.max(now(), millis(live.updated_at))];
    element.hidden = !span.every(Number.isFinite);
    if (first && !element.hidden) {
      const at = millis(first);
      if (Number.isFinite(at)) {
        slider.value = String(Math.round((STEPS * (at - span[0])) / (span[1] - span[0] || 1)));
        go(first);
      }
      first = null;
    }
  }
  return { element, show, close: load.cancel };
}
