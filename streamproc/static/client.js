// Who is told of which jobs. All that a page follows by name goes over as few streams as hold it.

import {FilteredFeed, NamedFeed} from "./feeds.js";
import {Gateway, Problem} from "./gateway.js";
import {isFinal} from "./polls.js";

const FRAME = 16;
const UNSEEN = 300_000;
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

  #listening = new AbortController();
  #unseen = null;

  constructor(url, who) {
    this.#gateway = new Gateway(url, who);
    const {signal} = this.#listening;
    globalThis.addEventListener?.("online", () => this.#wake(), {signal});
    globalThis.document?.addEventListener("visibilitychange", () => this.#seen(!document.hidden), {signal});
  }

  /** Follow nothing any longer. */
  close() {
    this.#listening.abort();
    clearTimeout(this.#unseen);
    for (const feed of this.#feeds) this.#close(feed);
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
    let told = [];
    const tell = () => {
      const status = statusOf(followed);
      if (told[0] === followed.snapshot && told[1] === status.state) return;
      told = [followed.snapshot, status.state];
      callback(followed.snapshot ?? null, status);
    };
    const followed = this.#join(job, {told: tell, moved: tell});
    call(tell);
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
    const tell = (job, snapshot) => latest.put(job, () => callback(job, snapshot));
    const moved = () => onState?.(feed.status.state, feed.status);
    const feed = new FilteredFeed(this.#gateway, filter, tell, moved);
    moved();
    this.#open(feed);
    return {
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

  #wake() {
    for (const feed of this.#feeds) feed.wake();
  }

  /** A tab that nobody looks at lets go of its streams: a browser has six connections for all tabs of a server. */
  #seen(seen) {
    clearTimeout(this.#unseen);
    if (seen) this.#wake();
    else this.#unseen = setTimeout(() => this.#feeds.forEach((feed) => feed.rest()), UNSEEN);
  }

  #join(job, listener) {
    let followed = this.#jobs.get(job);
    if (!followed) {
      followed = {job, feed: this.#room(), snapshot: undefined, listeners: new Set()};
      this.#jobs.set(job, followed);
      followed.feed.add(job);
    } else {
      if (isFinal(followed.snapshot)) followed.feed.add(job); // it may have been begun again
      const tell = () => followed.listeners.has(listener) && call(listener.told, job, followed.snapshot);
      if (followed.snapshot !== undefined) queueMicrotask(tell);
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

/** What is newest of each job, told once a frame: a job may change a hundred times a second, and nobody sees that. */
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

/** The connection's state as one job has it: what isn't known isn't live, and what is final doesn't go stale. */
function statusOf({feed: {status}, snapshot}) {
  if (isFinal(snapshot)) return {...status, state: "live"};
  if (snapshot || !["live", "polling"].includes(status.state)) return status;
  return {...status, state: snapshot === null ? "gone" : "connecting"};
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
