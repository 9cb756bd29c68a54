// Who is told of which jobs. All that a page follows by name goes over as few streams as hold it.

import {FilteredFeed, NamedFeed} from "./feeds.js";
import {Gateway, Problem} from "./gateway.js";
import {isFinal} from "./polls.js";

const FRAME = 16;
const WORST_FIRST = ["gone", "stale", "connecting", "polling", "live"];

/** A client of the gateway at `url`. */
export function connect(url = location.origin, who = {}) {
  return new Client(url, who);
}

export class Client {
  #gateway;
  #jobs = new Map();
  #feeds = new Set();
  #latest = new Latest();

  constructor(url, who) {
    this.#gateway = new Gateway(url, who);
    globalThis.addEventListener?.("online", () => this.#hurry());
    globalThis.document?.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get url() {
    return this.#gateway.url;
  }

  get(path, options) {
    return this.#gateway.get(path, options);
  }

  post(path, body, options) {
    return this.#gateway.post(path, body, options);
  }

  /** Call back with a job's newest snapshot, and the state of the connection, whenever one of them changes. */
  follow(job, callback) {
    let followed;
    const tell = () => callback(followed.snapshot ?? null, statusOf(followed));
    followed = this.#join(job, {told: tell, moved: tell});
    return {close: once(() => this.#leave(followed, tell))};
  }

  /** Call back with the newest snapshots of many: of those named, or of those that match a filter and haven't ended. */
  followMany(what, callback, {onState} = {}) {
    return Array.isArray(what) || what instanceof Set
      ? this.#followNamed(what, callback, onState)
      : this.#followFilter(what, callback, onState);
  }

  #followNamed(jobs, callback, onState) {
    const followed = new Map();
    let state = null;
    const told = (job, snapshot) => callback(job, snapshot);
    const moved = () => {
      const worst = worstOf(followed.values());
      if (worst.state !== state) onState?.((state = worst.state), worst);
    };
    const set = (wanted) => {
      const jobs = new Set(wanted);
      for (const [job, one] of followed) if (!jobs.has(job) && followed.delete(job)) this.#leave(one, told);
      for (const job of jobs) if (!followed.has(job)) followed.set(job, this.#join(job, {told, moved}));
      if (followed.size) moved();
    };
    set(jobs);
    return {set, close: once(() => set([]))};
  }

  #followFilter(filter, callback, onState) {
    const latest = new Latest();
    const open = (filter) => {
      const tell = (job, snapshot) => latest.put(job, () => callback(job, snapshot));
      const feed = new FilteredFeed(this.#gateway, filter, tell, () => onState?.(feed.status.state, feed.status));
      onState?.(feed.status.state, feed.status);
      this.#open(feed);
      return feed;
    };
    const feed = open(filter);
    return {
      set() {
        throw new TypeError("a filter stays as it is; close this, and follow another");
      },
      close: once(() => {
        latest.clear();
        this.#close(feed);
      }),
    };
  }

  #open(feed) {
    this.#feeds.add(feed);
    void feed.run();
  }

  #close(feed) {
    this.#feeds.delete(feed);
    feed.close();
  }

  #hurry() {
    for (const feed of this.#feeds) feed.hurry();
  }

  #join(job, listener) {
    let followed = this.#jobs.get(job);
    if (!followed) {
      followed = {job, feed: this.#room(), snapshot: undefined, listeners: new Set()};
      this.#jobs.set(job, followed);
      followed.feed.add(job);
    } else {
      if (isFinal(followed.snapshot)) followed.feed.add(job); // it may have been begun again
      if (followed.snapshot !== undefined) queueMicrotask(() => followed.listeners.has(listener) && call(listener.told, job, followed.snapshot));
    }
    followed.listeners.add(listener);
    return followed;
  }

  #leave(followed, told) {
    for (const listener of followed.listeners) if (listener.told === told) followed.listeners.delete(listener);
    if (followed.listeners.size) return;
    this.#jobs.delete(followed.job);
    this.#latest.delete(followed.job);
    followed.feed.delete(followed.job);
    if (!followed.feed.size) this.#close(followed.feed);
  }

  /** A feed that takes one more job. */
  #room() {
    for (const feed of this.#feeds) if (feed instanceof NamedFeed && !feed.full) return feed;
    const feed = new NamedFeed(
      this.#gateway,
      (job, snapshot) => this.#latest.put(job, () => this.#tell(job, snapshot)),
      () => this.#moved(feed),
    );
    this.#open(feed);
    return feed;
  }

  #tell(job, snapshot) {
    const followed = this.#jobs.get(job);
    if (!followed) return;
    followed.snapshot = snapshot;
    for (const {told} of [...followed.listeners]) call(told, job, snapshot);
  }

  #moved(feed) {
    const moved = new Set();
    for (const followed of this.#jobs.values())
      if (followed.feed === feed) for (const listener of followed.listeners) moved.add(listener.moved);
    for (const tell of moved) call(tell);
  }
}

/** What is newest of each job, told about once a frame: a job may change a hundred times a second, and nobody sees that. */
class Latest {
  #waiting = new Map();
  #timer = null;

  put(job, tell) {
    this.#waiting.set(job, tell);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const tell of waiting) call(tell);
    }, FRAME);
  }

  delete(job) {
    this.#waiting.delete(job);
  }

  clear() {
    this.#waiting.clear();
  }
}

/** The state of the connection as one job has it: an unknown one isn't live, and a final one doesn't go stale. */
function statusOf({feed, snapshot}) {
  if (isFinal(snapshot)) return {...feed.status, state: "live"};
  if (snapshot === null && ["live", "polling"].includes(feed.status.state)) return {...feed.status, state: "gone"};
  return feed.status;
}

function worstOf(followed) {
  const all = [...new Set([...followed].map(({feed}) => feed))].map((feed) => feed.status);
  return WORST_FIRST.map((state) => all.find((status) => status.state === state)).find(Boolean);
}

/** What is called back may fail; the others are still told. */
function call(callback, ...told) {
  try {
    callback(...told);
  } catch (error) {
    reportError(error);
  }
}

function once(work) {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

export {Problem};
