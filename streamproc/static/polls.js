// Polls, for where streams don't get through: 1 s after a change, up to 5 s while nothing happens.

import {sleep} from "./feed.js";
import {Problem} from "./gateway.js";

const ACTIVE = 1_000;
const IDLE = 5_000;
const SLOW = 60_000; // where nobody looks
const BREATH = 200; // between long polls
const WAIT = 25; // s
const AT_ONCE = 1_000;

const FINAL = new Set(["finished", "failed", "canceled"]);

/** Whether nothing more will come of a job; null is one that isn't there. */
export const isFinal = (snapshot) => FINAL.has(snapshot?.status);

/** Lets a few through at a time. */
export class Slots {
  #free;
  #waiting = [];

  constructor(free) {
    this.#free = free;
  }

  async use(work) {
    if (this.#free > 0) this.#free--;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Ask again and again, the sooner the more happens. `ask(longPoll)` tells whether something had changed; null at the end. */
export async function again(gateway, {waits: mayWait = false, slowly = false}, signal, ask) {
  let pause = ACTIVE;
  while (!signal.aborted) {
    const waits = mayWait && !slowly && gateway.longPolls;
    const began = Date.now();
    let changed;
    try {
      changed = await ask(waits);
    } catch (error) {
      if (!waits || signal.aborted || error.retryAfter) throw error;
      gateway.longPolls = false; // whatever is in between doesn't wait so long
      continue;
    }
    if (changed === null) return;
    if (waits && !changed && Date.now() - began < AT_ONCE) gateway.longPolls = false;
    pause = changed ? ACTIVE : Math.min(IDLE, pause * 1.5);
    await sleep(slowly ? SLOW : waits ? BREATH : pause, signal);
  }
}

/** A job, unless it is as the tag says: its snapshot, null where there is none; undefined where it is the same. */
export async function look(gateway, job, tag, waits, signal) {
  const headers = {...(tag && {"if-none-match": tag}), ...(waits && {prefer: `wait=${WAIT}`})};
  try {
    const response = await gateway.request(`/v1/jobs/${encodeURIComponent(job)}`, {headers, signal});
    if (response.status === 304) return {tag};
    return {tag: response.headers.get("etag"), snapshot: await response.json()};
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return {tag: null, snapshot: null};
    throw error;
  }
}
