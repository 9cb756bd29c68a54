// What elements say of a job. Whatever is missing or odd is left out: nothing says NaN.

const STATUS = {
  queued: "Queued",
  started: "Started",
  running: "Running",
  paused: "Paused",
  finished: "Finished",
  failed: "Failed",
  canceled: "Canceled",
};
const CONNECTION = {connecting: "Connecting…", stale: "Reconnecting…", gone: "There is no such job"};
const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

export const statusWord = (snapshot) => (snapshot.stalled ? "Stalled" : (STATUS[snapshot.status] ?? snapshot.status));

/** Rounded down: 100 % is only what is done. */
export function percentText(percent) {
  return Number.isFinite(percent) ? `${Math.floor(percent)} %` : "";
}

/** In its two largest units: "3 d 4 h", "12 min 5 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  let left = Math.max(0, Math.round(seconds));
  const at = Math.max(0, UNITS.findIndex(([, size]) => left >= size));
  if (left === 0) return "0 s";
  const said = [];
  for (const [unit, size] of UNITS.slice(at, at + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) said.push(`${count} ${unit}`);
  }
  return said.join(" ");
}

export function instant(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
}

/** What is worth knowing of the connection; nothing while all is well. */
export function connectionWord({state, problem}) {
  return state === "gone" && problem && problem.status !== 404 ? problem.message : (CONNECTION[state] ?? "");
}
