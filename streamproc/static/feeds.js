// The three kinds of feeds: of jobs that are named, of those that match a filter, and of the events of one.

import {Feed} from "./feed.js";
import {again, isFinal, look, sleep} from "./gateway.js";

const AT_A_TIME = 4;
const MOST_JOBS = 200;
const MOST_CHARACTERS = 7_500; // of a query: proxies take a line of 8 KiB
const PAGE = 1_000;
const ACTIVE = "queued,started,running,paused";

/** Jobs by their names. `tell(job, snapshot)` is given null where there is no such job. */
export class NamedFeed extends Feed {
  #jobs = new Set();
  #ended = new Set();
  #asked = [];
  #changed = null;
  #length = 0;
  #tell;

  constructor(gateway, tell, moved) {
    super(gateway, moved);
    this.#tell = tell;
  }

  get size() {
    return this.#jobs.size;
  }

  /** Whether there is room for one more. */
  takes(job) {
    const most = this.gateway.share ? 1 : MOST_JOBS;
    return this.#jobs.size < most && this.#length + lengthOf(job) <= MOST_CHARACTERS;
  }

  add(job) {
    if (!this.#jobs.has(job)) this.#length += lengthOf(job);
    this.#jobs.add(job);
    this.#ended.delete(job);
    // Elements of a page come one by one, and go into one stream.
    this.#changed ??= setTimeout(() => {
      this.#changed = null;
      this.reopen();
    }, 5);
  }

  delete(job) {
    if (this.#jobs.delete(job)) this.#length -= lengthOf(job); // a stream that is open goes on; nobody is told of this job
    this.#ended.delete(job);
    if (!this.#left().length) this.reopen();
  }

  close() {
    clearTimeout(this.#changed);
    super.close();
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

  async poll(signal, slowly) {
    const jobs = this.#left();
    const few = jobs.length <= AT_A_TIME;
    if (slowly && !few) return sleep(2 ** 31 - 1, signal); // it catches up when it is seen
    const lanes = jobs.slice(0, AT_A_TIME).map((_, lane) => jobs.filter((_, at) => at % AT_A_TIME === lane));
    const failed = new AbortController(); // one that fails ends all: they are begun again together
    const until = AbortSignal.any([signal, failed.signal]);
    const known = new Map();
    const asked = (lane) => again(this.gateway, {waits: few, slowly}, until, (waits) => this.#ask(lane, known, waits, until));
    try {
      await Promise.all(lanes.map(asked));
    } finally {
      failed.abort();
    }
  }

  /** Ask for jobs, one after the other: whether something has changed; null where all have ended. */
  async #ask(jobs, known, waits, signal) {
    let changed = null;
    for (const job of jobs) {
      if (!this.#jobs.has(job) || this.#ended.has(job)) continue;
      const before = known.get(job);
      const {tag, snapshot} = await look(this.gateway, job, before?.tag, waits && before, signal);
      if (signal.aborted) return null;
      this.be("polling");
      const isNew = snapshot !== undefined && !(snapshot === null && before?.absent);
      known.set(job, {tag, absent: snapshot === null});
      if (isNew) this.#take(job, snapshot);
      if (isFinal(snapshot)) this.#end(job);
      changed ||= isNew;
    }
    return changed;
  }

  async probe(signal) {
    const [job] = this.#left();
    const {snapshot} = await look(this.gateway, job, null, false, signal);
    if (!signal.aborted) this.#take(job, snapshot);
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
    else if (event === "jobs") void this.#only(new Set(data.jobs));
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
  async #only(jobs) {
    for (const job of [...this.#among].filter((job) => !jobs.has(job))) {
      // Where it can't be told now, the next stream begins with who is there.
      const {snapshot} = await look(this.gateway, job, null, false, undefined).catch(() => ({}));
      if (this.closed || snapshot === undefined || !this.#among.delete(job)) continue;
      this.#tell(job, isFinal(snapshot) ? snapshot : null);
    }
  }

  async poll(signal, slowly) {
    let before = "";
    await again(this.gateway, {slowly}, signal, async () => {
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
    void this.#only(new Set(page.jobs.map((job) => job.job_id)));
    for (const job of page.jobs) this.#take(job);
    return page;
  }
}

/** What has happened to a job, and then each event as it comes: in order, each once, or it is said that they begin anew. */
export class EventsFeed extends Feed {
  #path;
  #told;
  #last = null;
  #life = "";
  #ended = false;

  /** `told` has `entries(list, token)`, `reset({reason, detail})`, `end()` and `moved()`; `after` is a token, or null. */
  constructor(gateway, job, after, told) {
    super(gateway, told.moved, after);
    this.#path = `/v1/jobs/${encodeURIComponent(job)}`;
    this.#told = told;
    this.#place(after);
  }

  path() {
    return this.#ended ? null : `${this.#path}/stream?events=all`;
  }

  hear(event, data, id) {
    if (event === "event") this.#take([data], id);
    else if (event === "reset") this.#reset(data);
    else if (event === "end") this.#end();
  }

  anew({problem, message}) {
    this.#reset({reason: problem?.type?.split(":").at(-1) ?? "token", detail: message});
  }

  async poll(signal, slowly) {
    const ask = async () => {
      // Looked at before its events are read: then none of an end that is seen is missing.
      const job = await this.gateway.get(this.#path, {signal});
      if (this.#last !== null && isAfter(this.#last, job.position)) this.#reset({reason: "position", detail: "the job began anew"});
      let changed = false;
      for (let page = {next: true}; page.next; changed ||= page.events.length > 0) {
        page = await this.#page(signal);
        this.be("polling");
        this.#take(page.events, null);
      }
      if (!isFinal(job)) return changed;
      this.#end();
      return null;
    };
    await again(this.gateway, {slowly}, signal, ask);
  }

  async probe(signal) {
    await this.gateway.get(this.#path, {signal});
  }

  #page(signal) {
    const after = this.#last && new URLSearchParams({after: this.#token()});
    return this.gateway.get(`${this.#path}/events?limit=${PAGE}${after ? `&${after}` : ""}`, {signal});
  }

  #token() {
    return this.#life + this.#last;
  }

  /** A token is `incarnation.position`, or a bare position. */
  #place(token) {
    const dot = token?.indexOf(".") ?? -1;
    this.#life = token?.slice(0, dot + 1) ?? "";
    this.#last = token?.slice(dot + 1) ?? null;
  }

  #take(entries, token) {
    const fresh = this.#last === null ? entries : entries.filter(({position}) => isAfter(position, this.#last));
    if (!fresh.length) return;
    if (token) this.#place(token);
    else this.#last = fresh.at(-1).position;
    this.#told.entries(fresh, this.#token());
  }

  #reset(why) {
    this.#place(null);
    this.#told.reset(why);
  }

  #end() {
    this.#ended = true;
    this.#told.end();
  }
}

/** What a job takes of a query. */
const lengthOf = (job) => "&job=".length + encodeURIComponent(job).length;

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

/** Positions are `ms-seq`. */
function isAfter(one, other) {
  const [ms, seq] = one.split("-").map(Number);
  const [otherMs, otherSeq] = other.split("-").map(Number);
  return ms > otherMs || (ms === otherMs && seq > otherSeq);
}
