// Who is told of which jobs. All that a page follows by name goes over as few streams as hold it.

import {attend} from "./feed.js";
import {EventsFeed, FilteredFeed, NamedFeed} from "./feeds.js";
import {Gateway, Problem, isFinal, look} from "./gateway.js";

const NAME = /^[A-Za-z0-9._:@-]{1,200}$/;
const FRAME = 16;
const LOOK_BACK = 30_000;
const MOST_ENDED = 20;
const WORST_FIRST = ["gone", "stale", "connecting", "polling", "live"];

/** A client of the gateway at `url`. */
export function connect(url = globalThis.location?.origin, who = {}) {
  return new Client(url, who);
}

export class Client {
  #gateway;
  #jobs = new Map();
  #feeds = new Set();
  #latest = new Latest();
  #open = new AbortController();
  #ended = null;

  constructor(url, who) {
    this.#gateway = new Gateway(url, who);
    attend(() => [...this.#feeds], this.#open.signal);
  }

  /** Follow nothing any longer. */
  close() {
    this.#open.abort();
    clearTimeout(this.#ended);
    this.#latest.clear();
    this.#jobs.clear();
    for (const feed of this.#feeds) this.#stop(feed);
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
      const now = [followed.snapshot, status.state, status.problem];
      if (now.every((one, at) => one === told[at])) return;
      told = now;
      callback(followed.snapshot ?? null, status);
    };
    const listener = {told: tell, moved: tell};
    const followed = this.#join(job, listener);
    this.#soon(followed, listener, tell);
    return {close: once(() => this.#leave(followed, listener))};
  }

  /** Call back with the newest snapshots of many: of those named, or of those that match a filter and haven't ended. */
  followMany(what, callback, {onState} = {}) {
    return Array.isArray(what) || what instanceof Set
      ? this.#followNamed(what, callback, onState)
      : this.#followFilter(what, callback, onState);
  }

  /** Call back with the events of a job: those that are there after `after`, and then each as it comes. */
  followEvents(job, callback, {after = null, onReset, onState} = {}) {
    let ended = false;
    let waiting = [];
    let token = after;
    const pace = new Latest();
    const tell = () => {
      const told = waiting;
      waiting = [];
      callback(told, {token, ended});
    };
    const told = {
      entries: (entries, at) => {
        waiting = waiting.concat(entries);
        token = at;
        pace.put(job, tell);
      },
      reset: (why) => {
        waiting = [];
        token = null;
        pace.clear();
        call(onReset, why);
      },
      end: () => {
        ended = true;
        pace.put(job, tell);
      },
      moved: () => call(onState, feed.status.state, feed.status),
    };
    const feed = this.#start(new EventsFeed(this.#gateway, job, after, told));
    return {
      close: once(() => {
        pace.clear();
        this.#stop(feed);
      }),
    };
  }

  #followNamed(jobs, callback, onState) {
    const followed = new Map();
    let state = null;
    let closed = false;
    const told = (job, snapshot) => callback(job, snapshot);
    const moved = () => {
      if (closed || !followed.size) return;
      const worst = worstOf(followed.values());
      if (worst.state !== state) onState?.((state = worst.state), worst);
    };
    const listener = {told, moved};
    const set = (wanted) => {
      if (closed) return;
      const jobs = new Set(wanted);
      for (const [job, one] of followed) if (!jobs.has(job) && followed.delete(job)) this.#leave(one, listener);
      for (const job of jobs) {
        if (followed.has(job)) continue;
        const one = this.#join(job, listener);
        followed.set(job, one);
        if (one.snapshot !== undefined) this.#soon(one, listener, () => told(job, one.snapshot));
      }
      queueMicrotask(() => call(moved));
    };
    set(jobs);
    return {
      set,
      close: once(() => {
        set([]);
        closed = true;
      }),
    };
  }

  #followFilter(filter, callback, onState) {
    const latest = new Latest();
    const tell = (job, snapshot) => feed.closed || latest.put(job, () => callback(job, snapshot));
    const moved = () => feed.closed || call(onState, feed.status.state, feed.status);
    const feed = this.#start(new FilteredFeed(this.#gateway, filter, tell, moved));
    queueMicrotask(moved);
    return {
      close: once(() => {
        latest.clear();
        this.#stop(feed);
      }),
    };
  }

  #start(feed) {
    if (this.#open.signal.aborted) throw new Error("this client is closed: connect anew");
    this.#feeds.add(feed);
    void feed.run();
    return feed;
  }

  #stop(feed) {
    this.#feeds.delete(feed);
    feed.close();
  }

  /** Call one that has come to what is known already: once it has what follows it in hand, and still wants it. */
  #soon(followed, listener, tell) {
    queueMicrotask(() => followed.listeners.has(listener) && call(tell));
  }

  #join(job, listener) {
    let followed = this.#jobs.get(job);
    if (!followed) {
      followed = {job, feed: this.#room(job), snapshot: undefined, listeners: new Set()};
      this.#jobs.set(job, followed);
      followed.feed.add(job);
    } else if (isFinal(followed.snapshot)) followed.feed.add(job); // it may have been begun again
    followed.listeners.add(listener);
    return followed;
  }

  #leave(followed, listener) {
    followed.listeners.delete(listener);
    if (followed.listeners.size || this.#jobs.get(followed.job) !== followed) return;
    this.#jobs.delete(followed.job);
    this.#latest.delete(followed.job);
    followed.feed.delete(followed.job);
    if (!followed.feed.size) this.#stop(followed.feed);
  }

  /** A feed that takes one more job. */
  #room(job) {
    if (!NAME.test(job)) return new Nowhere(job);
    for (const feed of this.#feeds) if (feed instanceof NamedFeed && feed.takes(job)) return feed;
    const feed = new NamedFeed(
      this.#gateway,
      (job, snapshot) => this.#latest.put(job, () => this.#tell(job, snapshot)),
      () => this.#moved(feed),
    );
    return this.#start(feed);
  }

  #tell(job, snapshot) {
    const followed = this.#jobs.get(job);
    if (!followed) return;
    followed.snapshot = snapshot;
    if (isFinal(snapshot)) this.#ended ??= setTimeout(() => this.#lookBack(), LOOK_BACK);
    for (const listener of followed.listeners) call(listener.told, job, snapshot);
  }

  /** What has ended may be begun again; the latest are looked at now and then. */
  async #lookBack() {
    const ended = [...this.#jobs.values()].filter(({snapshot}) => isFinal(snapshot)).slice(-MOST_ENDED);
    for (const followed of globalThis.document?.hidden ? [] : ended) {
      const found = await look(this.#gateway, followed.job, followed.tag, false, this.#open.signal).catch(() => ({}));
      followed.tag = found.tag;
      const isOther = found.snapshot !== undefined && found.snapshot?.position !== followed.snapshot?.position;
      if (isOther && this.#jobs.get(followed.job) === followed) followed.feed.add(followed.job);
    }
    this.#ended = ended.length && !this.#open.signal.aborted ? setTimeout(() => this.#lookBack(), LOOK_BACK) : null;
  }

  #moved(feed) {
    const all = new Map();
    for (const followed of this.#jobs.values())
      if (followed.feed === feed) for (const listener of followed.listeners) all.set(listener, followed);
    for (const [listener, followed] of all) if (followed.listeners.has(listener)) call(listener.moved);
  }
}

/** What is newest of each, told once a frame: a job may change a hundred times a second, and nobody sees that. */
class Latest {
  #waiting = new Map();
  #timer = null;

  put(key, tell) {
    this.#waiting.set(key, tell);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const waiting = [...this.#waiting.keys()];
      for (const key of waiting) {
        const tell = this.#waiting.get(key); // one that was told before may have taken it away
        if (this.#waiting.delete(key)) call(tell);
      }
    }, FRAME);
  }

  delete(key) {
    this.#waiting.delete(key);
  }

  clear() {
    this.#waiting.clear();
  }
}

/** What is called back may fail; the others are still told. */
function call(callback, ...told) {
  try {
    callback?.(...told);
  } catch (error) {
    reportError(error);
  }
}

/** Where a job would be whose name can't be one: what is asked for together isn't refused for its sake. */
class Nowhere {
  size = 0;

  constructor(job) {
    const detail = `${JSON.stringify(job)} is no job's name: 1 to 200 characters of A-Z, a-z, 0-9 and ._:@-`;
    this.status = {state: "gone", since: new Date(), problem: new Problem(400, {title: "Bad Request", status: 400, detail})};
  }

  add() {}
  delete() {}
  close() {}
}

/** The connection's state as one job has it: what isn't known isn't live, and what is final doesn't go stale. */
function statusOf({feed: {status}, snapshot}) {
  if (isFinal(snapshot)) return {...status, state: "live", problem: null};
  if (snapshot || !["live", "polling"].includes(status.state)) return status;
  return {...status, state: snapshot === null ? "gone" : "connecting"};
}

function worstOf(followed) {
  const all = [...new Set([...followed].map(({feed}) => feed))].map((feed) => feed.status);
  return WORST_FIRST.map((state) => all.find((status) => status.state === state)).find(Boolean);
}

function once(work) {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

export {Problem};
