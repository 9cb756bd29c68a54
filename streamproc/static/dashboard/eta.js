/** What remains of a job: in time that runs down between two messages, and as an instant. */

import { duration, millis, now } from "./format.js";

const WHY = {
  queued: "waits in the queue", paused: "paused", stalled: "silent", indeterminate: "not known how far", no_progress: "no progress yet",
};

/** When a snapshot is of, in ms since 1970: of a past moment, or of now. */
export const momentOf = (snapshot) => snapshot.as_of ?? now();

/** Seconds that are left by an estimate's instant, at least 0; NaN where nothing is known. */
export function left(snapshot, which = "p50") {
  return Math.max(0, (millis(snapshot.eta?.finish_at?.[which]) - momentOf(snapshot)) / 1000);
}

/** Seconds that a job had been going for at a moment, or went. */
export function elapsed(snapshot, at = momentOf(snapshot)) {
  const end = millis(snapshot.finished_at);
  return Math.max(0, ((Number.isNaN(end) ? at : end) - millis(snapshot.started_at)) / 1000);
}

export const isFinal = (snapshot) => ["finished", "failed", "canceled"].includes(snapshot?.status);

/** Two texts: what remains, and when that ends; of a silent job: for how long, and since when. Instants are RFC 3339, or null. */
export function remaining(snapshot) {
  if (isFinal(snapshot)) {
    const took = elapsed(snapshot);
    return [Number.isFinite(took) ? `took ${duration(took)}` : "", snapshot.finished_at];
  }
  if (snapshot.stalled) {
    const since = snapshot.progressed_at ?? snapshot.started_at;
    const silent = (momentOf(snapshot) - millis(since)) / 1000;
    return [Number.isFinite(silent) ? `silent for ${duration(Math.floor(Math.max(0, silent)))}` : WHY.stalled, since];
  }
  const seconds = left(snapshot);
  if (Number.isFinite(seconds)) return [seconds < 1 ? "any moment" : `${duration(Math.ceil(seconds))} left`, snapshot.eta.finish_at.p50];
  return [WHY[snapshot.eta?.reason] ?? "", snapshot.eta?.start_at ?? null];
}
