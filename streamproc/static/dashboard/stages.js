/** Stages as a timeline: when each began and ended, how long that took, and how long it usually takes. */

import { badge, bar } from "./bar.js";
import { attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { duration, millis, now, percent } from "./format.js";

/** The stages of a job. Without a client, as for who has a share link, nothing is told of what is typical. */
export function stages(client) {
  const list = h("ol", { class: "stages" });
  const element = h("section", { hidden: true }, h("h2", {}, "Stages"), list);
  const rows = [];
  let typical = new Map();
  let kind;

  async function learn(name) {
    kind = name;
    if (name === null || !client) return;
    try {
      const found = await client.get(`/v1/kinds/${encodeURIComponent(name)}`);
      typical = new Map(found.stages.map((stage) => [stage.name, stage.duration_seconds]));
    } catch {
      typical = new Map(); // kinds are nobody's who is limited to some jobs; the stages are shown without
    }
  }

  function show(snapshot, live) {
    const found = snapshot.stages ?? [];
    element.hidden = !found.length;
    if (snapshot.kind !== kind) learn(snapshot.kind ?? null);
    const start = millis(snapshot.started_at ?? snapshot.created_at);
    const ends = found.map((stage) => millis(stage.finished_at)).filter(Number.isFinite);
    const until = snapshot === live && !isFinal(live) ? now() : millis(snapshot.updated_at);
    const end = Math.max(start + 1, until, ...ends);
    while (rows.length < found.length) list.append(rows[rows.push(makeRow()) - 1].element);
    while (rows.length > found.length) rows.pop().element.remove();
    found.forEach((stage, at) => rows[at].show(stage, typical.get(stage.name), start, end));
  }
  return { element, show };
}

function makeRow() {
  const name = h("b", { class: "cut", dir: "auto" });
  const mark = badge();
  const progress = bar();
  const amount = h("span", { class: "amount" });
  const took = h("span");
  const usual = h("span", { class: "quiet" });
  const span = h("i");
  const element = h("li", { class: "stage" }, h("div", { class: "stage-name" }, name, mark.element),
    h("div", { class: "measure" }, progress.element, amount), h("div", { class: "stage-time" }, took, usual),
    h("div", { class: "span", "aria-hidden": "true" }, span));
  function show(stage, typical, start, end) {
    say(name, stage.name);
    attribute(name, "title", stage.name);
    mark.show(stage.status);
    progress.show(stage.name, stage.percent ?? (stage.status === "pending" || stage.status === "skipped" ? 0 : null), stage.status);
    say(amount, stage.status === "pending" || stage.status === "skipped" ? "" : percent(stage.percent));
    const began = millis(stage.started_at);
    const ended = Number.isFinite(millis(stage.finished_at)) ? millis(stage.finished_at) : end;
    const told = stage.status === "running" ? null : stage.duration_seconds; // of a running one, until its last report
    const seconds = told ?? Math.max(0, ended - began) / 1000;
    say(took, stage.error?.detail ?? (Number.isFinite(seconds) ? duration(seconds) : ""));
    say(usual, typical ? `typically ${duration(typical.p50)}, at most ${duration(typical.p90)}` : "");
    span.hidden = !Number.isFinite(began);
    if (span.hidden) return;
    const part = (at) => Math.min(100, Math.max(0, (100 * (at - start)) / (end - start)));
    span.style.left = `${Math.min(99.5, part(began))}%`;
    span.style.width = `${Math.max(0.5, part(ended) - part(began))}%`;
  }
  return { element, show };
}
