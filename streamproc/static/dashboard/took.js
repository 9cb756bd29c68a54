/** How long runs took: as texts, and as places on an axis. */

import { duration } from "./format.js";

const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];
const POWERS = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 86_400, 864_000, 8_640_000, 86_400_000];
const LEAST = 0.001;
const WIDE = 25;

/** Seconds as people read them, down to the millisecond: runs may be that short. */
export const took = (seconds) => (seconds > 0 && seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : duration(seconds));

/**
 * Where durations stand on an axis from 0 to 1, and its ticks: even, or by their powers where some of them are many times
 * as long as is usual, as all others would be one line then.
 */
export function axis(seconds) {
  const sorted = [...seconds].sort((a, b) => a - b);
  const longest = Math.max(LEAST, sorted.at(-1) ?? 0);
  const usual = Math.max(LEAST, sorted[Math.floor(sorted.length / 2)] ?? 0);
  if (longest / usual < WIDE) {
    const ticks = steps(longest);
    return { isByPowers: false, ticks, place: (value) => value / ticks.at(-1) };
  }
  const shortest = Math.max(LEAST, sorted[0]);
  const from = POWERS.findLast((each) => each <= shortest) ?? LEAST;
  const to = POWERS.find((each) => each >= longest) ?? longest;
  const place = (value) => Math.log(Math.max(value, from) / from) / Math.log(to / from);
  return { isByPowers: true, ticks: POWERS.filter((each) => each >= from && each <= to), place };
}

/** Round steps from 0 to `most` seconds, some four of them, the last being at least that. */
function steps(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = rough < 1 || rough > STEPS.at(-1)
    ? [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999)
    : STEPS.find((each) => each >= rough);
  return Array.from({ length: Math.ceil((most / step) * 0.999) + 1 }, (_, at) => at * step);
}
