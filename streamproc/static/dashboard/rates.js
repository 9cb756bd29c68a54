/** How fast events come: by how many were ever appended, which trimming doesn't change. It is kept while one looks at other pages. */

const KEPT_MS = 600_000;
const samples = [];
let before = null;

/**
 * Take what is told of partitions at a moment, in ms since 1970. Gives the events a second of each since the last time; null where that
 * isn't known. Where it is long ago it is what there were on average.
 */
export function take(partitions, at) {
  const appended = new Map(partitions.map((each) => [each.partition, each.appended]));
  const seconds = before && (at - before.at) / 1000;
  const since = ({ partition }) => {
    const now = appended.get(partition);
    const then = before?.appended.get(partition);
    return seconds > 0 && Number.isFinite(now) && Number.isFinite(then) && now >= then ? (now - then) / seconds : null;
  };
  const rates = new Map(partitions.map((each) => [each.partition, since(each)]));
  const known = [...rates.values()].filter((rate) => rate !== null);
  if (known.length) samples.push({ from: before.at, to: at, rate: known.reduce((sum, rate) => sum + rate, 0) });
  while (samples.length && samples[0].to < at - KEPT_MS) samples.shift();
  before = { at, appended };
  return rates;
}

/** What was measured in the last minutes, the oldest first: `{from, to, rate}`, in ms and in events a second. */
export const measured = () => samples;

/** A rate as people read it: as fine as it is low. */
export const inShort = (rate) => (rate === null ? null : Math.round(rate * (rate < 10 ? 10 : 1)) / (rate < 10 ? 10 : 1));
