/** One kind: how its runs went over time, its stages, and how often the estimates of it held. */

import { client, query } from "./api.js";
import { h, say } from "./dom.js";
import { number, percent, share, time } from "./format.js";
import { held } from "./held.js";
import { durations, failures, inWords } from "./plots.js";
import { poll } from "./poll.js";
import { failed, loading } from "./states.js";
import { figures, table } from "./table.js";
import { took } from "./took.js";

const REFRESH_MS = 5_000;
const MOST_JOBS = 100;
const KEPT = "All figures of runs are of the latest 100: older ones aren't kept.";
const NOTHING_YET = "No run of this kind has ended yet. When one has, this page tells how long it took, and when others like it will be over.";

export function open(place, kind) {
  const found = h("div", {}, loading("the kind"));
  const plots = h("div", { class: "plots" });
  const words = h("p", { class: "quiet", id: "in-words" });
  const filtered = (more = {}) => `#/jobs${query({ kind, ...more })}`;
  const link = (text, href) => h("a", { href }, text);
  place.append(h("p", { class: "trail" }, link("Kinds", "#/kinds")), h("h1", { dir: "auto" }, kind), h("p", { class: "lead links" },
    link("All of its jobs", filtered()), link("Running", filtered({ status: "running" })), link("Failed", filtered({ status: "failed", sort: "-finished" }))), found);
  let last = "";
  let told = null;
  let jobs = new Map();

  async function refresh() {
    const answer = await client.get(`/v1/kinds/${encodeURIComponent(kind)}`);
    const key = JSON.stringify(answer);
    if (key === last) return;
    if (answer.last_ended_at && answer.last_ended_at !== told?.last_ended_at) jobs = await jobsOf(kind);
    last = key;
    told = answer;
    const sections = [h("section", {}, h("h2", {}, "So far"), summary(told), h("p", { class: "quiet" }, KEPT))];
    if (told.runs) sections.push(h("section", {}, h("h2", {}, "How long they took"), plots, words, legend()), held(told.calibration));
    else sections.push(h("p", { class: "quiet" }, NOTHING_YET));
    if (told.stages.length) sections.push(h("div", { class: "titled" }, h("h2", {}, "Stages"), stages(told.stages)));
    found.replaceChildren(h("div", { class: "stack" }, ...sections));
    draw();
  }

  function draw() {
    const width = Math.round(plots.clientWidth);
    if (!told?.runs || !width) return;
    const runs = [...told.latest].reverse();
    const focused = plots.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const linkOf = (run) => jobs.get(run.ended_at) ?? null;
    plots.replaceChildren(durations(runs, told.duration_seconds, linkOf, width), h("h3", {}, "How many failed, of ten at a time"), failures(runs, width));
    if (focused) plots.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    say(words, inWords(runs, told.duration_seconds));
  }

  const resized = new ResizeObserver(draw);
  resized.observe(plots);
  const polled = poll("kind", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return {
    close() {
      polled.close();
      resized.disconnect();
    },
  };
}

/** The addresses of jobs by when they ended. What runs are kept of doesn't name them; two that ended at once stay apart. */
async function jobsOf(kind) {
  const page = await client.get(`/v1/jobs${query({ kind, sort: "-finished", limit: MOST_JOBS })}`);
  const found = new Map();
  for (const { finished_at: at, job_id: job } of page.jobs) found.set(at, found.has(at) ? null : `#/jobs/${encodeURIComponent(job)}`);
  return found;
}

const summary = (told) => figures([
  ["Active", number(told.active.started + told.active.running + told.active.paused)], ["Queued", number(told.active.queued)],
  ["Active ones are at", percent(told.average_percent)], ["Typical", took(told.duration_seconds?.p50)],
  ["Nine in ten within", took(told.duration_seconds?.p90)], ["Failed", share(told.failure_rate)],
  ["Typical wait", took(told.waited_seconds?.p50)], ["Nine in ten wait", took(told.waited_seconds?.p90)],
  ["Runs", number(told.runs)], ["Last ended", time(told.last_ended_at)],
]);

const legend = () => h("p", { class: "quiet legend", "aria-hidden": "true" },
  h("span", { class: "finished" }, "● finished"), h("span", { class: "failed" }, "✕ failed"), h("span", { class: "canceled" }, "○ canceled"),
  "One beside the other as they ended. A click opens the job, where it is still known; arrow keys go from one to the next.");

function stages(all) {
  const longest = Math.max(...all.map((stage) => stage.duration_seconds?.p90 ?? 0)) || 1;
  return table("Stages", ["Stage", "Runs", "Typical", "p90", "Of the longest", "Skipped"],
    all.map(({ name, runs, duration_seconds: usual, skipped }) =>
      [name, number(runs), took(usual?.p50), took(usual?.p90), spread(usual, longest), share(skipped)]));
}

/** How long a stage takes beside the others: what is typical, and up to what nine in ten take. */
function spread(usual, longest) {
  const bar = h("span", { class: "share-bar", "aria-hidden": "true" }, h("i", { class: "soft" }), h("i"));
  bar.firstChild.style.width = `${(100 * (usual?.p90 ?? 0)) / longest}%`;
  bar.lastChild.style.width = `${(100 * (usual?.p50 ?? 0)) / longest}%`;
  return bar;
}
