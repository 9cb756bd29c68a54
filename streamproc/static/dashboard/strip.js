/** A job's time from its start to when it should be over: what has gone by, and the band from p50 to p90. */

import { h, say } from "./dom.js";
import { isFinal, momentOf } from "./eta.js";
import { duration, instant, millis } from "./format.js";

export function estimateStrip() {
  const gone = h("i", { class: "gone" });
  const band = h("i", { class: "band" });
  const text = h("p", { class: "quiet strip-text" });
  const element = h("div", { class: "strip", hidden: true }, h("div", { class: "strip-track", "aria-hidden": "true" }, gone, band), text);
  function show(snapshot) {
    const start = millis(snapshot.started_at);
    const p50 = millis(snapshot.eta?.finish_at?.p50);
    const p90 = millis(snapshot.eta?.finish_at?.p90);
    const isKnown = !isFinal(snapshot) && [start, p50, p90].every(Number.isFinite);
    element.hidden = !isKnown;
    if (!isKnown) return;
    const moment = momentOf(snapshot);
    const end = Math.max(p90, moment, start + 1);
    const part = (at) => Math.min(100, Math.max(0, (100 * (at - start)) / (end - start)));
    gone.style.width = `${part(moment)}%`;
    band.style.left = `${part(p50)}%`;
    band.style.width = `${Math.max(0.5, part(p90) - part(p50))}%`;
    const basis = { rate: "by its rate", history: "by earlier jobs", blend: "by its rate and earlier jobs" }[snapshot.eta.basis] ?? "";
    say(text, `Should end between ${instant(snapshot.eta.finish_at.p50)} and ${instant(snapshot.eta.finish_at.p90)} (${duration((p90 - p50) / 1000)} apart), estimated ${basis}`);
  }
  return { element, show };
}
