/** A job as a row of a list. */

import { badge, bar } from "./bar.js";
import { attribute, h, say } from "./dom.js";
import { isFinal, remaining } from "./eta.js";
import { exact, instant, percent, together } from "./format.js";

/** A row: its `<li>`, and `show(snapshot)`, which may be called at any time: what is left runs down between two snapshots. */
export function makeRow() {
  const link = h("a", { dir: "auto" });
  const about = h("small");
  const doing = h("small", { class: "doing" });
  const amount = h("span", { class: "amount" });
  const left = h("span", { class: "left" });
  const when = h("time", { dir: "auto" });
  const worker = h("small", { class: "worker", dir: "auto" });
  const progress = bar();
  const mark = badge();
  const element = h("li", { class: "row" }, h("div", { class: "name" }, link, about),
    h("div", { class: "progress" }, h("div", { class: "measure" }, progress.element, amount), doing),
    h("div", { class: "until" }, left, when), h("div", { class: "state-of" }, mark.element, worker));
  // To say an instant exactly takes as long as all else of a row, and is for who points at it.
  element.addEventListener("pointerenter", () => attribute(when, "title", exact(when.dateTime)));
  let shown = null;

  function show(snapshot) {
    if (!snapshot || (snapshot === shown && isFinal(snapshot))) return;
    if (snapshot !== shown) draw(snapshot);
    shown = snapshot;
    const [text, until] = remaining(snapshot);
    say(left, text);
    if (when.dateTime.slice(0, 19) === until?.slice(0, 19)) return; // it is shown to the second
    when.dateTime = until ?? "";
    when.hidden = !until;
    say(when, until ? instant(until) : "");
  }

  function draw(snapshot) {
    const title = snapshot.title ?? snapshot.job_id;
    if (shown?.job_id !== snapshot.job_id) attribute(link, "href", `#/jobs/${encodeURIComponent(snapshot.job_id)}`);
    if (shown?.title !== snapshot.title) attribute(link, "title", title);
    say(link, title);
    say(about, together(snapshot.kind, snapshot.title ? snapshot.job_id : null));
    say(doing, together(snapshot.current_stage, snapshot.error?.detail ?? snapshot.message));
    say(amount, percent(snapshot.percent));
    progress.show(title, snapshot.percent, snapshot.status, snapshot.stalled);
    mark.show(snapshot.status, snapshot.stalled);
    say(worker, snapshot.worker ?? "");
  }
  return { element, show };
}
