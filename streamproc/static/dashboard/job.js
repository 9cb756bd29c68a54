/** A job: how it stands, live or as it was at any moment, and all that is known of it. */

import { connect } from "../client.js";
import { actions } from "./actions.js";
import { client, jobPath } from "./api.js";
import { badge, bar } from "./bar.js";
import { report } from "./connection.js";
import { atNextFrame, attribute, h, say } from "./dom.js";
import { elapsed, isFinal, remaining } from "./eta.js";
import { events } from "./events.js";
import { duration, millis, now, number, percent, setTime, short } from "./format.js";
import { estimateStrip } from "./strip.js";
import { pastSlider } from "./past.js";
import { progressChart } from "./progress.js";
import { stages } from "./stages.js";
import { failed, loading } from "./states.js";
import { units } from "./units.js";

const LOOK_AGAIN_MS = 3_000;

export function open(place, job, parameters) {
  const share = parameters.get("share");
  const asked = share ? connect(location.origin, { share }) : client;
  const parts = [];
  let page = null;
  let live = null;
  let past = null;
  let looked = 0;
  place.append(loading("the job"));

  function draw() {
    const snapshot = past ?? live;
    if (!snapshot || !place.isConnected) return;
    page ??= build();
    page.element.classList.toggle("is-past", past !== null);
    for (const part of [page, ...parts]) part.show(snapshot, live);
  }
  const refresh = atNextFrame(draw);

  function build() {
    const made = head(job);
    const slider = pastSlider(job, asked, (snapshot) => {
      past = snapshot;
      refresh();
    }, parameters.get("at"));
    parts.push(actions(job, asked, !share), slider, progressChart(job, asked, slider), stages(share ? null : asked), indicators(), units(job, asked), outcome(), events(job, asked));
    place.replaceChildren(made.element);
    made.element.append(...parts.map((part) => part.element));
    return made;
  }

  const follow = () => asked.follow(job, (snapshot, { state }) => {
    report("job", state);
    if (snapshot) {
      live = snapshot;
      document.title = `${snapshot.title ?? job} · streamproc`;
      refresh();
    } else if (state === "gone" && !live) place.replaceChildren(failed({ status: 404, message: `There is no job ${job}, or not yet. It will be shown here as soon as it is there.` }));
  });
  let following = follow();

  /** What has ended isn't followed any more; but it may be tried again. */
  async function lookAgain() {
    if (!isFinal(live) || document.hidden || Date.now() - looked < LOOK_AGAIN_MS) return;
    looked = Date.now();
    const snapshot = await asked.get(jobPath(job)).catch(() => null); // the next look will tell
    if (!snapshot || isFinal(snapshot) || !place.isConnected) return;
    following.close();
    following = follow();
  }

  // A stream can't say why it is refused; a request can.
  asked.get(jobPath(job)).then((snapshot) => {
    live ??= snapshot;
    refresh();
  }, (error) => {
    if (!live && error.status && error.status < 500) place.replaceChildren(failed(error));
  });
  const ticking = setInterval(() => {
    refresh();
    lookAgain();
  }, 1_000);

  return {
    close() {
      following.close();
      clearInterval(ticking);
      refresh.cancel();
      for (const part of parts) part.close?.();
    },
  };
}

/** Name, status, bar and estimate. */
function head(job) {
  const title = h("h1", { dir: "auto" });
  const facts = h("p", { class: "facts quiet" });
  const mark = badge();
  const progress = bar();
  const amount = h("span", { class: "huge" });
  const left = h("span", { class: "left" });
  const when = h("time");
  const range = h("span", { class: "quiet" });
  const message = h("p", { class: "message", dir: "auto" });
  const announced = h("p", { class: "visually-hidden", "aria-live": "polite" });
  const strip = estimateStrip();
  let last = "";
  const element = h("article", { class: "job" },
    h("header", { class: "job-head" }, h("div", { class: "job-title" }, title, mark.element), facts,
      h("div", { class: "standing" }, amount, h("div", { class: "standing-left" }, left, when, range)),
      progress.element, strip.element, message, announced));
  function show(snapshot, live) {
    const name = snapshot.title ?? snapshot.job_id;
    say(title, name);
    mark.show(snapshot.status, snapshot.stalled);
    showFacts(facts, snapshot, elapsed(snapshot, snapshot === live ? now() : millis(snapshot.updated_at)));
    say(amount, percent(snapshot.percent));
    progress.show(name, snapshot.percent, snapshot.status, snapshot.stalled);
    const [text, until] = remaining(snapshot);
    say(left, text);
    setTime(when, until);
    when.hidden = !until;
    const p90 = snapshot.eta?.remaining_seconds?.p90;
    say(range, !isFinal(snapshot) && Number.isFinite(p90) ? `nine in ten within ${duration(p90)}` : "");
    say(message, [snapshot.current_stage, snapshot.message].filter(Boolean).join(" · "));
    strip.show(snapshot);
    const told = `${snapshot.status}${Number.isFinite(snapshot.percent) ? `, ${Math.floor(snapshot.percent / 10) * 10} percent` : ""}`;
    if (told !== last) announced.textContent = told; // at each tenth, and not at each event
    last = told;
  }
  return { element, show };
}

function showFacts(element, snapshot, took) {
  const items = snapshot.items;
  const found = [
    ["id", snapshot.job_id], ["kind", snapshot.kind], ["worker", snapshot.worker], ["owner", snapshot.owner],
    ["attempt", snapshot.attempt > 1 ? number(snapshot.attempt) : null],
    ["items", items && Number.isFinite(items.done) ? `${short(items.done)} of ${short(items.total)}` : null],
    ["elapsed", Number.isFinite(took) ? duration(took) : null],
    ...Object.entries(snapshot.labels ?? {}),
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const key = JSON.stringify(found);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...found.map(([name, value]) => h("span", { class: "fact" }, h("span", { dir: "auto" }, name), " ",
    name === "kind" ? h("a", { href: `#/kinds/${encodeURIComponent(value)}`, dir: "auto" }, value) : h("b", { dir: "auto" }, String(value)))));
}

/** Counters: done of total. */
function indicators() {
  const list = h("ul", { class: "indicators" });
  const element = h("section", { hidden: true }, h("h2", {}, "Indicators"), list);
  const rows = new Map();
  function show(snapshot) {
    element.hidden = !snapshot.indicators?.length;
    const kept = new Set();
    for (const { label, done, total } of snapshot.indicators ?? []) {
      kept.add(label);
      if (!rows.has(label)) {
        const made = { progress: bar(), amount: h("span", { class: "amount" }), name: h("span", { class: "cut", dir: "auto" }, label) };
        made.element = h("li", {}, made.name, made.progress.element, made.amount);
        rows.set(label, made);
        list.append(made.element);
      }
      const row = rows.get(label);
      attribute(row.name, "title", label);
      row.progress.show(label, total > 0 ? (100 * done) / total : null, done >= total ? "finished" : "running");
      say(row.amount, `${short(done)} of ${short(total)}`);
    }
    for (const [label, row] of rows) if (!kept.has(label) && rows.delete(label)) row.element.remove();
  }
  return { element, show };
}

/** What came of it: a result or an error, and what else the worker told. */
function outcome() {
  const body = h("div", { class: "stack" });
  const element = h("section", { hidden: true }, h("h2", {}, "Outcome"), body);
  let last = null;
  function show(snapshot) {
    const { result, error, details } = snapshot;
    element.hidden = !(result ?? error ?? details);
    const key = JSON.stringify([result, error, details]);
    if (key === last) return;
    last = key;
    body.replaceChildren(
      ...(error ? [h("p", { class: "wrong", dir: "auto" }, [error.type, error.detail].filter(Boolean).join(": ") || "failed without a reason")] : []),
      ...[["Result", result], ["Details", details]].filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => h("div", {}, h("h3", {}, name), h("pre", { tabindex: "0", "aria-label": name, dir: "auto" }, typeof value === "string" ? value : JSON.stringify(value, null, 2)))));
  }
  return { element, show };
}

