/** Jobs that somebody should look at: those that have fallen silent, those that take longer than usual, and those that failed lately. */

import { client, query } from "./api.js";
import { h } from "./dom.js";
import { millis, now, number } from "./format.js";
import { poll } from "./poll.js";
import { failed, loading } from "./states.js";
import { took } from "./took.js";
import { troubles } from "./troubles.js";
import { typicalOf } from "./typical.js";

const REFRESH_MS = 5_000;
const SHOWN = 100;
const FAILED_SHOWN = 20;
const MOST_ASKED_ABOUT = 20;
const PAGES_OF_FAILED = 3;
const LATELY_MS = 86_400_000;
const IS_SLOW = "At work for longer than nine in ten of their kind were, pauses aside, and for half as long again as is typical. The worst come first.";
const NOT_TOLD = "What is slow is told by all jobs of a kind, and your key or token is limited to some.";
const MAYBE_MORE = "There may be more: not all that have begun long ago were looked at.";

export function open(place) {
  const usual = typicalOf(client, () => stalled.tick());
  const stalled = troubles({
    name: "stalled", title: "Stalled", about: "Nothing was heard of their progress for longer than their kind is used to.",
    none: "No job has fallen silent.", wrongOf: silent(usual), all: "#/jobs?stalled=true",
  });
  const slow = troubles({
    name: "slow", title: "Slow", about: IS_SLOW,
    none: "No job takes longer than its kind is used to.", wrongOf: late,
  });
  const over = troubles({
    name: "failed", title: "Failed in the last 24 hours", about: "The latest come first.",
    none: "No job has failed in the last 24 hours.", wrongOf: broken, all: "#/jobs?status=failed&sort=-finished",
  });
  const found = h("div", {}, loading("slow and stalled jobs"));
  place.append(h("h1", {}, "Slow & stalled"), h("p", { class: "lead" }, "Jobs that somebody should look at."), found);

  async function refresh() {
    const [quiet, behind, ended] = await Promise.all([silentJobs(), client.get(`/v1/slow?limit=${SHOWN}`), failedJobs()]);
    if (!found.contains(slow.element)) found.replaceChildren(h("div", { class: "stack" }, stalled.element, slow.element, over.element));
    const kinds = new Set(quiet.jobs.map((job) => job.kind));
    for (const kind of [...kinds].slice(0, MOST_ASKED_ABOUT)) usual.of(kind);
    const all = (counts) => counts && Object.values(counts).reduce((sum, count) => sum + count, 0);
    stalled.show(quiet.jobs, all(quiet.counts) ?? quiet.jobs.length, quiet.next && !quiet.counts ? "There are more." : "");
    const jobs = behind.jobs.map(({ job, ...how }) => ({ ...job, ...how }));
    slow.show(jobs, behind.slow ?? 0, behind.slow === null ? NOT_TOLD : behind.complete ? "" : MAYBE_MORE);
    over.show(ended.jobs.slice(0, FAILED_SHOWN), ended.jobs.length, ended.isAll ? "" : "There may be more.");
  }

  const polled = poll("slow", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  const ticking = setInterval(() => document.hidden || [stalled, slow].forEach((each) => each.tick()), 1_000);
  return {
    close() {
      polled.close();
      clearInterval(ticking);
    },
  };
}

const silentJobs = () => client.get(`/v1/jobs${query({ stalled: "true", sort: "created", limit: SHOWN, counts: "true" })}`);

/** Those that failed lately, the latest first: pages of a list may be short, as only so many jobs are looked at for one. */
async function failedJobs() {
  const since = now() - LATELY_MS;
  const jobs = [];
  for (let at = 0, cursor = null; at < PAGES_OF_FAILED; at += 1) {
    const page = await client.get(`/v1/jobs${query({ status: "failed", sort: "-finished", limit: SHOWN, cursor })}`);
    const lately = page.jobs.filter((job) => millis(job.finished_at) >= since);
    jobs.push(...lately);
    cursor = page.next;
    if (!cursor || lately.length < page.jobs.length) return { jobs, isAll: true };
    if (jobs.length >= SHOWN) break;
  }
  return { jobs, isAll: false };
}

/** What is wrong with a job that is silent: since when, and what its kind is used to. */
const silent = (usual) => (job) => {
  const since = job.progressed_at ?? job.started_at ?? job.created_at;
  const kind = usual.of(job.kind)?.silent_seconds;
  const heard = job.heard_at && job.heard_at > since ? "Its worker was heard of since, without progress" : "Nothing else was heard of it since";
  return {
    wrong: `silent for ${took((now() - millis(since)) / 1000)}`,
    when: "since",
    at: since,
    about: [heard, kind && `runs of its kind are silent for up to ${took(kind.p90)}`].filter(Boolean).join("; "),
  };
};

function late(job) {
  const worked = job.worked_seconds + Math.max(0, (now() - job.seen) / 1000);
  const times = job.usual_seconds.p50 ? worked / job.usual_seconds.p50 : null;
  return {
    wrong: times === null ? `at work for ${took(worked)}` : `${number(Math.round(times * 10) / 10)} × as long as typical`,
    when: "started",
    at: job.started_at,
    about: `At work for ${took(worked)}; a half took at most ${took(job.usual_seconds.p50)}, nine in ten ${took(job.usual_seconds.p90)}`,
  };
}

const broken = (job) => ({
  wrong: job.error?.type ?? "failed",
  when: "failed",
  at: job.finished_at,
  about: job.error?.detail ?? job.message ?? "It didn't say why",
});
