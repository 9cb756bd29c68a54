/** Jobs that somebody should look at: those that have fallen silent, and those that take longer than nine in ten of their kind. */

import { client, pages, query } from "./api.js";
import { h, say } from "./dom.js";
import { elapsed } from "./eta.js";
import { duration, number } from "./format.js";
import { poll } from "./poll.js";
import { makeRow } from "./row.js";
import { failed, loading } from "./states.js";

const REFRESH_MS = 4_000;
const MOST_LOOKED_AT = 2_000;
const MOST_SHOWN = 200;

export function open(place) {
  const found = h("div", {}, loading("slow and stalled jobs"));
  const stalled = rowsOf("Stalled", "Silent for longer than their kind is used to.", "No job has fallen silent.");
  const slow = rowsOf("Slow", "Going for longer than nine in ten of their kind took.", "No job takes longer than its kind is used to.");
  place.append(h("h1", {}, "Slow & stalled"), h("p", { class: "lead" }, "Jobs that somebody should look at."), found);

  async function refresh() {
    const silent = await client.get(`/v1/jobs${query({ stalled: "true", limit: 200 })}`);
    const usual = new Map();
    try {
      for await (const page of pages("/v1/kinds", { limit: 500 }, "kinds")) {
        for (const { kind, duration_seconds } of page) if (duration_seconds) usual.set(kind, duration_seconds.p90);
      }
    } catch (error) {
      if (error.status !== 403) throw error; // then nothing is told of kinds, and nothing is slow
    }
    const late = [];
    let looked = 0;
    for await (const page of pages("/v1/jobs", { status: "running,paused,started", sort: "started", limit: 500 }, "jobs")) {
      for (const job of page) {
        const most = usual.get(job.kind) ?? Infinity;
        if (elapsed(job) > most && !job.stalled) late.push({ ...job, current_stage: `going for ${duration(elapsed(job))}, nine in ten took ${duration(most)}` });
      }
      looked += page.length;
      if (looked >= MOST_LOOKED_AT) break;
    }
    if (!stalled.element.isConnected) found.replaceChildren(h("div", { class: "stack" }, stalled.element, slow.element));
    stalled.show(silent.jobs);
    slow.show(late);
  }

  const polled = poll("slow", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return { close: polled.close };
}

function rowsOf(title, about, none) {
  const list = h("ul", { class: "plain-list" });
  const nothing = h("p", { class: "quiet" });
  const rows = new Map();
  const element = h("section", {}, h("h2", {}, title), h("p", { class: "quiet" }, about), list, nothing);
  function show(all) {
    list.hidden = !all.length;
    nothing.hidden = all.length > 0 && all.length <= MOST_SHOWN;
    say(nothing, all.length ? `and ${number(all.length - MOST_SHOWN)} more` : none);
    const jobs = all.slice(0, MOST_SHOWN);
    const kept = new Set(jobs.map((job) => job.job_id));
    for (const [id, row] of rows) if (!kept.has(id) && rows.delete(id)) row.element.remove();
    for (const job of jobs) {
      if (!rows.has(job.job_id)) {
        const row = makeRow();
        rows.set(job.job_id, row);
        list.append(row.element);
      }
      rows.get(job.job_id).show(job);
    }
  }
  return { element, show };
}
