/** The units of a job as its page knows them: read once, and moved on by the job's events, as the fold moves them. */

export const STATUSES = ["failed", "running", "pending", "finished"];

const FINAL = ["failed", "finished"];
const EFFECTS = {
  "unit.added": () => {},
  "unit.started": start,
  "unit.progressed"(unit, event, time) {
    start(unit, event, time);
    const percent = event.percent ?? (Number.isFinite(event.done) && Number.isFinite(event.total) ? (event.total > 0 ? (100 * event.done) / event.total : 0) : null);
    if (percent !== null) unit.percent = Math.min(100, Math.max(0, percent));
  },
  "unit.finished": (unit, _, time) => Object.assign(unit, { status: "finished", percent: 100, finished_at: time }),
  "unit.failed": (unit, event, time) => Object.assign(unit, { status: "failed", percent: 0, finished_at: time, error: event.error }),
  /** Of a unit, it makes none a member; but it may be the first that is heard of a further attempt. */
  "job.counted": () => {},
};

function start(unit, _, time) {
  if (unit.status !== "running") Object.assign(unit, { status: "running", started_at: time });
}

export class Members {
  #units = new Map();

  get size() {
    return this.#units.size;
  }

  get(name) {
    return this.#units.get(name);
  }

  /** Take units as the gateway tells of them. */
  put(units) {
    for (const unit of units) this.#units.set(unit.unit, { attempt: 1, ...unit });
  }

  /** What an event does to its unit. Whether it may have done anything. */
  take({ event, time, mark }) {
    const effect = EFFECTS[event.type];
    if (mark || !effect || typeof event.unit !== "string") return false;
    let unit = this.#units.get(event.unit);
    if (!unit && event.type === "job.counted") return false;
    unit ??= { unit: event.unit, status: "pending", percent: 0, attempt: 1 };
    if (event.attempt > unit.attempt) {
      const { weight, stage } = unit;
      unit = { unit: event.unit, status: "pending", percent: 0, weight, stage, attempt: event.attempt };
    } else if (event.attempt < unit.attempt || FINAL.includes(unit.status)) {
      return false; // what was read is further than this event
    }
    if (event.type !== "job.counted") {
      for (const name of ["weight", "stage", "message", "worker"]) if (event[name] !== undefined && event[name] !== null) unit[name] = event[name];
    }
    effect(unit, event, time);
    this.#units.set(event.unit, unit);
    return true;
  }

  /** How many there are of each status. */
  counts() {
    const found = Object.fromEntries(STATUSES.map((status) => [status, 0]));
    for (const { status } of this.#units.values()) found[status] += 1;
    return found;
  }

  /** Their names: those that failed first, then as they joined; only of a status, only with a text in them. */
  names(status = null, text = "") {
    const found = new Map(STATUSES.map((each) => [each, []]));
    const wanted = text.toLowerCase();
    for (const unit of this.#units.values()) {
      if (status && unit.status !== status) continue;
      if (!wanted || unit.unit.toLowerCase().includes(wanted)) found.get(unit.status)?.push(unit.unit);
    }
    return [...found.values()].flat();
  }
}
