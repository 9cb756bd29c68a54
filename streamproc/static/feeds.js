// The two kinds of feeds: of jobs that are named, and of those that match a filter.

import {Feed} from "./feed.js";
import {Slots, again, isFinal, look} from "./polls.js";

const AT_A_TIME = 4;
const MOST_JOBS = 200;
const ACTIVE = "queued,started,running,paused";

/** Jobs by their names. `tell(job, snapshot)` is given null where there is no such job. */
export class NamedFeed extends Feed {
  #jobs = new Set();
  #ended = new Set();
  #asked = [];
  #changed = null;
  #tell;

  constructor(gateway, tell, moved) {
    super(gateway, moved);
    this.#tell = tell;
  }

  get size() {
    return this.#jobs.size;
  }

  get full() {
    return this.#jobs.size >= (this.gateway.share ? 1 : MOST_JOBS);
  }

  add(job) {
    this.#jobs.add(job);
    this.#ended.delete(job);
    // Elements of a page come one by one, and go into one stream.
    this.#changed ??= setTimeout(() => {
      this.#changed = null;
      this.reopen();
    }, 5);
  }

  delete(job) {
    this.#jobs.delete(job); // a stream that is open goes on; nobody is told of this job
    this.#ended.delete(job);
    if (!this.#left().length) this.reopen();
  }

  #left() {
    return [...this.#jobs].filter((job) => !this.#ended.has(job));
  }

  path(token) {
    const left = this.#left();
    if (!left.length) return null;
    if (!token) this.#asked = left; // a token is of just these jobs
    if (this.gateway.share) return `/v1/jobs/${encodeURIComponent(left[0])}/stream`;
    return `/v1/stream?${new URLSearchParams(this.#asked.map((job) => ["job", job]))}`;
  }

  hear(event, data) {
    if (event === "snapshot") this.#take(data.job_id, data);
    else if (event === "unknown") for (const job of data.jobs) this.#take(job, null);
    else if (event === "end") this.#end(data.job);
  }

  #take(job, snapshot) {
    if (this.#jobs.has(job)) this.#tell(job, snapshot);
  }

  #end(job) {
    this.#ended.add(job);
  }

  async poll(signal) {
    const jobs = this.#left();
    const slots = new Slots(AT_A_TIME);
    const few = jobs.length <= AT_A_TIME;
    await Promise.all(jobs.map((job) => this.#pollJob(job, few, slots, signal)));
  }

  async #pollJob(job, mayWait, slots, signal) {
    let known = {tag: null};
    await again(this.gateway, mayWait, signal, async (waits) => {
      if (!this.#jobs.has(job)) return null;
      const {tag, snapshot} = await slots.use(() => look(this.gateway, job, known.tag, waits && known.asked, signal));
      const changed = snapshot !== undefined && !(snapshot === null && known.snapshot === null);
      known = {tag, snapshot: snapshot === undefined ? known.snapshot : snapshot, asked: true};
      this.be("polling");
      if (changed) this.#take(job, snapshot);
      if (!isFinal(known.snapshot)) return changed;
      this.#end(job);
      return null;
    });
  }

  async probe(signal) {
    const [job] = this.#left();
    const {snapshot} = await look(this.gateway, job, null, false, signal);
    this.#take(job, snapshot);
  }
}

/** Jobs that match a filter and haven't ended, as they come and go. `tell(job, null)`: it matches no longer. */
export class FilteredFeed extends Feed {
  #query;
  #tell;
  #among = new Set();

  constructor(gateway, filter, tell, moved) {
    super(gateway, moved);
    this.#query = queryOf(filter);
    this.#tell = tell;
  }

  path() {
    return `/v1/stream?${this.#query}`;
  }

  hear(event, data) {
    if (event === "snapshot") this.#take(data);
    else if (event === "left") this.#leave(data.job);
    else if (event === "jobs") this.#only(new Set(data.jobs));
    else if (event === "end") this.#among.delete(data.job);
  }

  #take(snapshot) {
    this.#among.add(snapshot.job_id);
    this.#tell(snapshot.job_id, snapshot);
  }

  #leave(job) {
    if (this.#among.delete(job)) this.#tell(job, null);
  }

  /** What was among them and isn't has ended meanwhile, or matches no longer. */
  #only(jobs) {
    for (const job of this.#among) if (!jobs.has(job)) void this.#look(job);
  }

  async #look(job) {
    try {
      const {snapshot} = await look(this.gateway, job, null, false, undefined);
      if (isFinal(snapshot)) this.#tell(job, snapshot);
      else if (this.#among.has(job)) this.#tell(job, null);
      this.#among.delete(job);
    } catch {
      // The gateway is gone again: the next stream begins with who is there.
    }
  }

  async poll(signal) {
    let before = "";
    await again(this.gateway, false, signal, async () => {
      const page = await this.#page(signal);
      const after = page.jobs.map((job) => job.job_id + job.position).join();
      const changed = after !== before;
      before = after;
      return changed;
    });
  }

  async probe(signal) {
    await this.#page(signal);
  }

  async #page(signal) {
    const query = new URLSearchParams(this.#query);
    if (!query.has("status")) query.set("status", ACTIVE);
    query.set("limit", String(MOST_JOBS));
    const page = await this.gateway.get(`/v1/jobs?${query}`, {signal});
    this.be("polling");
    this.#only(new Set(page.jobs.map((job) => job.job_id)));
    for (const job of page.jobs) this.#take(job);
    return page;
  }
}

/** The query of a filter: `{kind: "import", status: ["queued", "running"], label: {team: "a"}}`. */
function queryOf(filter) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (value === undefined || value === null || value === "") continue;
    if (name === "label" && typeof value === "object" && !Array.isArray(value)) {
      for (const [label, of] of Object.entries(value)) query.append("label", `${label}:${of}`);
    } else for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return query.toString();
}
