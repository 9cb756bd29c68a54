/** The head of a job's page: what it is, how it stands, when it will be over; and what went wrong, before all else. */

import { query } from "./api.js";
import { badge, bar } from "./bar.js";
import { copyButton } from "./copy.js";
import { attribute, h, say } from "./dom.js";
import { elapsed } from "./eta.js";
import { byGateway, duration, instant, millis, now, number, percent, setTime, short } from "./format.js";
import { failure } from "./outcome.js";
import { amount, ending, silence } from "./standing.js";
import { estimateStrip } from "./strip.js";

export function head(history, typical) {
  const title = h("h1", { dir: "auto" });
  const mark = badge();
  const facts = factLine();
  const labels = h("ul", { class: "labels", "aria-label": "Labels" });
  const error = failure();
  const huge = h("span", { class: "huge" });
  const left = h("span", { class: "left" });
  const when = h("time");
  const range = h("span", { class: "quiet" });
  const progress = bar();
  const strip = estimateStrip();
  const message = h("p", { class: "message", dir: "auto" });
  const amiss = h("p", { class: "amiss", dir: "auto" });
  const announced = h("p", { class: "visually-hidden", "aria-live": "polite" });
  const element = h("header", { class: "job-head" }, h("div", { class: "job-title" }, title, mark.element), facts.element, labels, error.element,
    h("div", { class: "standing" }, huge, h("div", { class: "standing-left" }, left, when, range)), progress.element, strip.element, message, amiss, announced);
  let limit = null;
  let last = "";

  /** Of how many attempts: said once, by who put it into the queue. */
  history.subscribe(({ events }) => {
    for (const { event } of events) if (event.type === "job.queued" && Number.isFinite(event.max_attempts)) limit ??= event.max_attempts;
  });

  function show(snapshot, live, { state, since }) {
    const name = snapshot.title || snapshot.job_id;
    say(title, name);
    mark.show(snapshot.status, snapshot.stalled);
    facts.show(snapshot, snapshot === live, limit);
    showLabels(labels, snapshot.labels ?? {});
    error.show(snapshot);
    say(huge, amount(snapshot));
    progress.show(name, snapshot.percent, snapshot.status, snapshot.stalled);
    const usual = typical.of(snapshot.kind);
    const [text, until, sure] = ending(snapshot, usual?.duration_seconds, history.entries);
    say(left, text);
    when.hidden = !until;
    setTime(when, until);
    say(range, sure);
    strip.show(snapshot);
    say(message, [snapshot.current_stage, snapshot.message].filter(Boolean).join(" · "));
    const stale = snapshot === live && state === "stale" ? `Not connected: this is how it was at ${instant(byGateway(since))}.` : "";
    say(amiss, [stale, snapshot === live ? silence(snapshot, history.entries) : ""].filter(Boolean).join(" "));
    const told = `${snapshot.status}${Number.isFinite(snapshot.percent) ? `, ${percent(Math.floor(snapshot.percent / 10) * 10)}` : ""}`;
    if (told !== last) announced.textContent = told; // at each tenth, and not at each event
    last = told;
  }
  return { element, show };
}

/** What is known of a job, in short: `[name, (snapshot, isNow, limit) => text or null, (text) => where it leads]`. */
const FACTS = [
  ["id", (snapshot) => snapshot.job_id],
  ["kind", (snapshot) => snapshot.kind, (kind) => `#/kinds/${encodeURIComponent(kind)}`],
  ["worker", (snapshot) => snapshot.worker, (worker) => `#/jobs${query({ worker })}`],
  ["owner", (snapshot) => snapshot.owner, (owner) => `#/jobs${query({ owner })}`],
  ["attempt", ({ attempt }, _, limit) => (limit ? `${number(attempt)} of ${number(Math.max(limit, attempt))}` : attempt > 1 ? number(attempt) : null)],
  ["items", ({ items }) => (Number.isFinite(items?.done) ? [items.done, items.total].filter(Number.isFinite).map(short).join(" of ") : null)],
  ["elapsed", (snapshot, isNow) => (snapshot.finished_at || !snapshot.started_at ? null : duration(elapsed(snapshot, isNow ? now() : millis(snapshot.updated_at))))],
  ["created", (snapshot) => instant(snapshot.created_at)],
];

function factLine() {
  const made = FACTS.map(([name, value, leads]) => {
    const text = h(leads ? "a" : "b", { dir: "auto" });
    const copy = name === "id" && copyButton("Copy", () => text.textContent);
    return { value, leads, text, element: h("span", { class: "fact", hidden: true }, name, " ", text, copy) };
  });
  const element = h("p", { class: "facts quiet" }, ...made.map((fact) => fact.element));
  function show(...about) {
    for (const { value, leads, text, element: fact } of made) {
      const found = value(...about);
      fact.hidden = found === null || found === undefined || found === "";
      if (fact.hidden) continue;
      say(text, found);
      attribute(text, "title", found);
      if (leads) attribute(text, "href", leads(found));
    }
  }
  return { element, show };
}

/** Labels lead to the jobs that have them, too. */
function showLabels(element, labels) {
  const found = Object.entries(labels);
  const key = JSON.stringify(found);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.hidden = !found.length;
  element.replaceChildren(...found.map(([name, value]) => {
    const text = `${name}: ${value}`;
    return h("li", {}, h("a", { class: "label", dir: "auto", title: text, href: `#/jobs${query({ label: `${name}:${value}` })}` }, text));
  }));
}
