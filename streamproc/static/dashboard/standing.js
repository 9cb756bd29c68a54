/** What there is to say of how a job stands, in words: what is left, when that ends, how sure that is, what is amiss. */

import { elapsed, isFinal, left, momentOf } from "./eta.js";
import { duration, instant, millis, now, percent } from "./format.js";

const NO_ESTIMATE = { indeterminate: "Nobody knows how far it is", no_progress: "No progress yet", stalled: "No estimate while it is silent" };
const ENDED = { finished: "took", failed: "failed after", canceled: "stopped after" };
/** What isn't heard of the worker itself. */
const OTHERS = new Set(["job.stalled", "job.released", "job.pause_requested", "job.resume_requested", "job.cancel_requested"]);

const usually = (usual, word) => (usual ? `${word} ${duration(usual.p50)}, nine in ten within ${duration(usual.p90)}` : "");

/** How long ago something was, in whole seconds; of now, or of another moment. */
export function ago(text, moment = now()) {
  const seconds = (moment - millis(text)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  return seconds < 1 ? "just now" : `${seconds < 10 ? `${Math.floor(seconds)} s` : duration(seconds)} ago`;
}

/**
 * Three texts about the end of a job: how long yet, when that is (RFC 3339, or null), and how sure that is.
 *
 * @param usual how long jobs of its kind take: `{p50, p90}` in seconds, or null
 * @param entries its events that are here, the newest first
 */
export function ending(snapshot, usual, entries) {
  const { status, eta } = snapshot;
  const spent = elapsed(snapshot);
  if (isFinal(snapshot)) {
    const took = Number.isFinite(spent) ? `${ENDED[status]} ${duration(spent)}` : status;
    return [took, snapshot.finished_at, status === "finished" ? usually(usual, "usually") : ""];
  }
  if (status === "queued") {
    const [soon, late] = [millis(eta?.start_at?.p50), millis(eta?.start_at?.p90)];
    if (!Number.isFinite(soon)) return ["Waits in the queue", null, usually(usual, "then usually takes")];
    const wait = Math.ceil((soon - momentOf(snapshot)) / 1000);
    const text = wait > 0 ? `Should start in ${duration(wait)}` : "Should start any moment";
    return [text, eta.start_at.p50, late > soon ? `nine in ten have by ${instant(eta.start_at.p90)}` : ""];
  }
  const remaining = eta?.remaining_seconds;
  if (status === "paused") {
    const since = entries.find(({ event, mark }) => !mark && event.type === "job.paused");
    const paused = since ? `Paused since ${instant(since.time)}` : "Paused";
    if (!remaining) return [paused, null, ""];
    return [`${paused}; ${duration(remaining.p50)} left once it goes on`, null, `nine in ten within ${duration(remaining.p90)}`];
  }
  const seconds = left(snapshot);
  if (Number.isFinite(seconds)) return [seconds < 1 ? "any moment" : `${duration(Math.ceil(seconds))} left`, eta.finish_at.p50, ""];
  const soFar = Number.isFinite(spent) ? `, ${duration(spent)} so far` : "";
  return [`${NO_ESTIMATE[eta?.reason] ?? "No estimate"}${soFar}`, null, usually(usual, "usually takes")];
}

/** What is amiss with a job that has stalled: since when, and what was heard of it last. */
export function silence(snapshot, entries) {
  if (!snapshot.stalled) return "";
  const since = snapshot.progressed_at ?? snapshot.started_at;
  const moment = momentOf(snapshot);
  const said = [`No progress for ${duration((moment - millis(since)) / 1000)}, since ${instant(since)}.`];
  if (snapshot.heard_at) {
    const latest = entries.find(({ event, mark }) => !mark && !OTHERS.has(event.type));
    const what = latest ? `: ${[latest.event.type, latest.event.message].filter(Boolean).join(", ")}` : "";
    said.push(`Its worker was heard last ${ago(snapshot.heard_at, moment)}${what}.`);
  }
  return said.join(" ");
}

/** How far it is, in words as large as the page has. */
export function amount(snapshot) {
  if (Number.isFinite(snapshot.percent)) return percent(snapshot.percent);
  const { done } = snapshot.items ?? {};
  return Number.isFinite(done) && done > 0 ? `${done.toLocaleString()} done` : "";
}

/** What a tab is called, so that it tells from the background; and whether it can't know any better. */
export function tabTitle(snapshot, isStale) {
  const status = snapshot.stalled ? "stalled" : snapshot.status;
  const far = Number.isFinite(snapshot.percent) ? percent(snapshot.percent) : null;
  const isPlain = far !== null && (status === "running" || status === "started");
  const lead = isFinal(snapshot) || far === null ? status : isPlain ? far : `${status} ${far}`;
  return [isStale && "not connected", lead, snapshot.title || snapshot.job_id].filter(Boolean).join(" · ");
}
