/** A job's history, read once for all parts of its page: the newest first, then what comes, and older events on demand. */

import { jobPath } from "./api.js";

const FIRST = 200;
const PAGE = 1_000;
const PAUSE_MS = 1_000;
const MOST_KEPT = 50_000;
/** Who is further behind than this, as after a night in the background, begins at the newest again. */
const FAR_BEHIND = 5_000;

/**
 * The history. Who subscribes is told `{how, events}`, events being the newest first: "begun" (these, and what there was
 * before counts no more), "newer", "older", or "failed" (`problem` says why).
 */
export function jobHistory(job, client) {
  const listeners = new Set();
  let entries = [];
  let newest = null;
  let older = null;
  let counted = 0;
  let reached = null;
  let problem = null;
  let round = 0;
  let isReading = false;
  let isReadingOlder = false;
  let isOver = false;
  let notBefore = 0;

  const page = (wanted) => client.get(jobPath(job, "/events", wanted));

  function tell(how, events = []) {
    if (!isOver) for (const listener of listeners) listener({ how, events });
  }

  async function begin() {
    const found = await page({ sort: "-position", limit: FIRST });
    round += 1;
    entries = found.events;
    newest = entries[0]?.position ?? "0-0";
    older = found.next;
    tell("begun", entries);
  }

  async function goOn() {
    for (let next = newest; next && !isOver; ) {
      const found = await page({ after: newest, limit: PAGE });
      if (!found.events.length) return;
      newest = found.events.at(-1).position;
      next = found.next;
      const events = found.events.reverse();
      entries = [...events, ...entries];
      if (entries.length > MOST_KEPT) {
        entries.length = MOST_KEPT;
        older = entries.at(-1).position;
      }
      tell("newer", events);
    }
  }

  async function read(live) {
    isReading = true;
    try {
      const isFar = live.events < counted || live.events - counted > FAR_BEHIND;
      counted = live.events;
      await (newest === null || isFar ? begin() : goOn());
      reached = live.position;
      if (problem) {
        problem = null;
        tell("newer");
      }
    } catch (error) {
      problem = error;
      tell("failed");
    }
    notBefore = Date.now() + PAUSE_MS;
    isReading = false;
  }

  return {
    subscribe: (listener) => listeners.add(listener),
    /** Read on where the job has got further. To be called again and again; it asks once a second at most. */
    follow(live) {
      const isHidden = document.hidden && newest !== null;
      if (!isReading && !isHidden && live.position !== reached && Date.now() >= notBefore) read(live);
    },
    /** Read a page of older events. Whether there was one. */
    async readOlder() {
      if (older === null || isReadingOlder || isOver || entries.length >= MOST_KEPT) return false;
      const mine = round;
      isReadingOlder = true;
      try {
        const found = await page({ sort: "-position", after: older, limit: PAGE });
        if (mine !== round) return false;
        entries = [...entries, ...found.events];
        older = found.next;
        tell("older", found.events);
        return true;
      } catch (error) {
        problem = error;
        tell("failed");
        return false;
      } finally {
        isReadingOlder = false;
      }
    },
    get entries() {
      return entries;
    },
    /** Whether all of it is here. */
    get isWhole() {
      return newest !== null && older === null;
    },
    /** Whether as much is here as is kept. */
    get isFull() {
      return older !== null && entries.length >= MOST_KEPT;
    },
    /** How many events there are, here or not. */
    get total() {
      return Math.max(counted, entries.length);
    },
    /** The position of the newest event that is here. */
    get newest() {
      return newest;
    },
    get problem() {
      return problem;
    },
    close() {
      isOver = true;
    },
  };
}
