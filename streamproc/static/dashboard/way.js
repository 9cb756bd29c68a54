/** A job's way so far: how far it was when, and what was estimated then. The gateway tells of it; then it grows live. */

import { jobPath } from "./api.js";
import { isFinal } from "./eta.js";
import { millis, now } from "./format.js";

const MOMENTS = 200;
const MOST_LIVE = 300;
const LEAST_APART_MS = 250;
const AGAIN_MS = 1_000;
const QUIET_MS = 15_000;
/** A history that takes long to fold is asked for so much more rarely. */
const TIMES_AS_LONG = 50;

/**
 * The way of a job; `changed` is called when there is more of it. `moments` are `{at, percent, status, attempt, p50, p90}`, `at` in ms
 * since 1970 and the estimated instants too, NaN where they aren't known. `problem` says why what was before isn't there.
 */
export function jobWay(job, client, changed) {
  const way = { moments: [], problem: null, isReading: true, show, close: () => (isOver = true) };
  let told = 0;
  let upTo = null;
  let read = 0;
  let took = 0;
  let notBefore = 0;
  let isMissing = true;
  let isAsked = false;
  let isOver = false;

  async function ask(position) {
    const begun = performance.now();
    if (isAsked || isOver || begun < notBefore) return;
    isAsked = true;
    try {
      const { estimates } = await client.get(jobPath(job, "/estimates", { points: MOMENTS, at: position }));
      const last = millis(estimates.at(-1).at);
      way.moments = [...estimates.map(toMoment), ...way.moments.slice(told).filter((moment) => moment.at > last && !position)];
      told = estimates.length;
      upTo = position;
      way.problem = null;
      way.isReading = isMissing = false;
    } catch (error) {
      way.problem = error;
      way.isReading = error.problem?.type?.endsWith(":past-pending") ?? false;
      isMissing = !error.status || error.status === 429 || error.status >= 500;
      if (isMissing) notBefore = performance.now() + (error.retryAfter ?? AGAIN_MS);
      else upTo = position; // as it is gone, or not to be seen, it stays so
    }
    read = performance.now();
    took = read - begun;
    isAsked = false;
    if (!isOver) changed();
  }

  /** What has just been heard of it. Moments that are too close to tell apart are told as one. */
  function add(live) {
    const last = way.moments.at(-1);
    const next = toMoment({ ...live, at: new Date(Math.max(Number(live.position.split("-")[0]), last?.at ?? 0)).toISOString() });
    const isAsFar = last && last.status === next.status && Object.is(last.percent, next.percent);
    if (isAsFar && Object.is(last.p50, next.p50)) return;
    if (isAsFar) next.at = Math.max(next.at, now()); // silence moved its end
    const before = way.moments.at(-2);
    const apart = Math.max(LEAST_APART_MS, (next.at - way.moments[0]?.at) / MOST_LIVE || 0);
    if (way.moments.length - told > 1 && next.at - before.at < apart) way.moments.pop();
    else if (last && next.at <= last.at) next.at = last.at + 1;
    way.moments.push(next);
  }

  function show(live) {
    if (isFinal(live)) {
      if (upTo !== live.position) ask(live.position);
      return;
    }
    if (upTo) upTo = null; // it has been begun again
    add(live);
    const isQuiet = ["started", "running"].includes(live.status) && !document.hidden && now() - way.moments.at(-1).at > QUIET_MS;
    const isDue = performance.now() - read > Math.max(QUIET_MS, TIMES_AS_LONG * took);
    if (isMissing || (isDue && !way.problem && (isQuiet || way.moments.length - told > MOST_LIVE))) ask(null);
  }
  return way;
}

const toMoment = ({ at, percent, status, attempt, eta }) =>
  ({ at: millis(at), percent: percent ?? NaN, status, attempt, p50: millis(eta?.finish_at?.p50), p90: millis(eta?.finish_at?.p90) });
