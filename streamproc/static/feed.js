// A feed keeps something up to date: by one stream; where streams don't get through, by long polls; else by polls.
//
// A stream that breaks is opened again with the token of what was had: once at once, within a quarter of a second, as
// what broke it may be over by then; after that when the gateway said to (`retry`, drawn for each client), so that
// thousands find one that starts one by one. Whom a gateway that stops sends away with a `retry` does as it says.
//
// A stream that says nothing, while plain requests are answered, is taken for blocked by something in between.

import {Problem, messages, sleep, takeStream} from "./gateway.js";

const FIRST_BYTE = 4_000; // a stream says something at once,
const SILENCE = 40_000; //   and then at least every 15 s
const LIVED = 5_000; // a stream that says something so late is no failure
const POLLED = 60_000;
const AT_ONCE = 250;
const LONGEST = 5_000;
const LONGEST_ASKED = 600_000; // by a gateway, or what is in front of it
const REFUSED = [1_000, 5_000, 15_000, 60_000];
const ABSENT = [1_000, 2_000, 5_000];
const ENOUGH_BLOCKED = 2;
const FOREVER = 2 ** 31 - 1;
const UNSEEN = 60_000;

/**
 * What all feeds share. A subclass says what to follow: `path(token)`, null where there is nothing; `hear(event, data,
 * id)` takes what a stream says, `poll(signal, slowly)` asks again and again, and `probe(signal)` asks once.
 * `anew(problem)` is told where the gateway doesn't know the token, and all begins anew.
 */
export class Feed {
  /** "connecting" | "live" | "stale" | "polling" | "gone", since when, and why. */
  status = {state: "connecting", since: new Date(), problem: null};

  #turn = new AbortController();
  #pause = new AbortController();
  #closed = false;
  #rests = null; // "slow": asks once a minute; "still": not at all
  #crowded = false;
  #token;
  #blocked = 0;
  #failures = 0;
  #refused = 0;
  #heard = null;
  #retry = 1_000;

  constructor(gateway, moved, token = null) {
    this.gateway = gateway;
    this.moved = moved;
    this.#token = token;
  }

  async run() {
    while (!this.#closed) {
      const {signal} = (this.#turn = new AbortController());
      try {
        await this.#once(signal);
      } catch (error) {
        if (!signal.aborted) await this.#failed(error, signal);
      }
    }
  }

  /** Begin anew, as there is something else to follow. */
  reopen() {
    this.#token = null;
    this.#turn.abort();
  }

  /** Let go of the connection until `wake`: all of it, or but for a look once a minute. */
  rest(still) {
    this.#rests = still ? "still" : "slow";
    this.#turn.abort();
  }

  /** Go on at once, be it from a rest, from waiting before the next attempt, or for want of a stream. */
  wake() {
    if (this.#rests === "still") this.#broken();
    if (this.#rests || this.#crowded) this.#turn.abort();
    this.#rests = null;
    this.#pause.abort();
  }

  /** The network is another one: what was open is dead, though nobody says so. */
  renew() {
    if (!this.#rests) this.#turn.abort();
  }

  close() {
    this.#closed = true;
    this.#turn.abort();
  }

  get closed() {
    return this.#closed;
  }

  anew() {}

  /** Tell of a state, where it is another. */
  be(state, problem = null) {
    const was = this.status;
    if (state === "live" || state === "polling") this.#heard = new Date();
    if (this.#closed || (state === was.state && problem?.message === was.problem?.message)) return;
    const since = state === was.state ? was.since : state === "stale" ? (this.#heard ?? was.since) : new Date();
    this.status = {state, since, problem};
    this.moved();
  }

  async #once(signal) {
    if (this.path(this.#token) === null || this.#rests === "still") return sleep(FOREVER, signal);
    if (this.#rests) return this.poll(signal, true);
    const release = this.#blocked < ENOUGH_BLOCKED ? await takeStream(this.gateway.url) : null;
    if (!release) return this.#poll(signal);
    let wait = null;
    try {
      if (!signal.aborted) wait = await this.#stream(this.path(this.#token), signal);
    } finally {
      release();
    }
    if (wait !== null && !signal.aborted && this.path(this.#token) !== null) await this.#wait(wait, signal);
  }

  /** Read one stream to its end: how long to wait before the next, in ms. */
  async #stream(path, signal) {
    const silent = new AbortController();
    const stream = {began: Infinity, last: null, retries: 0};
    // By the clock, as timers stand still while a machine sleeps.
    const watch = setInterval(() => {
      const quiet = stream.last === null ? FIRST_BYTE : SILENCE;
      if (Date.now() - (stream.last ?? stream.began) > quiet) silent.abort();
    }, 1_000);
    try {
      const response = await this.gateway.request(path, {
        headers: {accept: "text/event-stream", ...(this.#token && {"last-event-id": this.#token})},
        signal: AbortSignal.any([signal, silent.signal]),
        cache: "no-store",
        sent: () => (stream.began = Date.now()),
      });
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Problem(0, null);
      for await (const message of messages(response.body, () => this.#alive(stream))) this.#take(message, stream);
    } catch (error) {
      if (signal.aborted) return null;
      if (stream.last === null) throw silent.signal.aborted ? new Problem(0, null) : error;
      if (silent.signal.aborted) this.#blocked++;
    } finally {
      clearInterval(watch);
    }
    if (signal.aborted || this.path(this.#token) === null) return null;
    this.#broken();
    if (stream.retries < 2) return this.#delay();
    this.#failures = 1;
    return this.#retry; // the gateway says so, as it stops
  }

  #alive(stream) {
    stream.last = Date.now();
    this.gateway.streams = true;
    if (stream.last - stream.began > LIVED) this.#failures = this.#blocked = 0;
  }

  #take({event, data, id, retry}, stream) {
    this.#refused = 0;
    if (retry !== null) {
      this.#retry = Math.min(retry, LONGEST_ASKED);
      stream.retries++;
    }
    this.be("live");
    try {
      if (data) this.hear(event, JSON.parse(data), id);
    } catch (error) {
      reportError(error); // something in between has spoilt it: it is asked for again
      throw error;
    }
    if (id) this.#token = id;
  }

  #broken(problem = null) {
    this.be(this.status.state === "connecting" ? "connecting" : "stale", problem);
  }

  async #poll(signal) {
    this.#crowded = this.#blocked < ENOUGH_BLOCKED;
    this.gateway.longPolls = true;
    const until = new AbortController();
    const timer = setTimeout(() => until.abort(), POLLED);
    try {
      await this.poll(AbortSignal.any([signal, until.signal]), false);
    } catch (error) {
      if (!until.signal.aborted || signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
      this.#crowded = false;
    }
    this.#blocked = Math.min(this.#blocked, ENOUGH_BLOCKED - 1);
  }

  async #failed(error, signal) {
    if (!(error instanceof Problem)) {
      reportError(error);
      error = new Problem(0, null);
    }
    const {status, problem} = error;
    if ([400, 410].includes(status) && this.#token) {
      this.#token = null; // it is of something else, or of another time
      this.anew(error);
      return;
    }
    if (status === 429 || (problem && status >= 500)) {
      if (problem?.type?.endsWith(":too-many-open")) this.#blocked++; // there may be no room for a stream
      this.#broken(error);
    } else if ([401, 403, 404].includes(status) || (problem && status >= 400)) {
      await this.#refusedBy(error, signal);
      return;
    } else if (await this.#answers(signal)) {
      this.#blocked += this.gateway.streams ? 1 : ENOUGH_BLOCKED;
      this.be("polling");
    } else if (!signal.aborted) {
      this.#blocked = 0;
      this.#broken(error);
    }
    await this.#wait(this.#delay(error), signal, error.retryAfter !== null);
  }

  /** A token may have expired just now; so what was seen before isn't taken away at the first refusal. */
  async #refusedBy(error, signal) {
    const mayBeOld = error.status === 401 && this.#heard && !this.#refused;
    this.be(mayBeOld ? "stale" : "gone", error);
    const waits = error.status === 404 ? ABSENT : REFUSED;
    await this.#wait(waits[Math.min(this.#refused++, waits.length - 1)], signal);
  }

  /** Whether plain requests get through. */
  async #answers(signal) {
    try {
      await this.probe(AbortSignal.any([signal, AbortSignal.timeout(FIRST_BYTE)]));
      return true;
    } catch {
      return false;
    }
  }

  /** How long to wait before the next attempt, in ms. */
  #delay(error) {
    if (error?.retryAfter) return Math.min(error.retryAfter, LONGEST_ASKED) * (1 + Math.random() / 4);
    const failures = this.#failures++;
    if (failures === 0) return Math.random() * AT_ONCE;
    return Math.max(this.#retry, Math.min(LONGEST, this.#retry * 2 ** (failures - 1))) * (1 + Math.random() / 4);
  }

  /** Wait; `wake` ends it early, but where the gateway said how long. */
  async #wait(ms, signal, isAsked = false) {
    this.#pause = new AbortController();
    await sleep(ms, isAsked ? signal : AbortSignal.any([signal, this.#pause.signal]));
  }
}

/**
 * Have feeds (`feeds()`) rest and wake with the page, until the signal. A tab that nobody looks at lets go of its streams: a browser
 * has six connections for all tabs of a server. A page that is left is kept by browsers only where nothing is open.
 */
export function attend(feeds, signal) {
  const {document} = globalThis;
  let timer = null;
  const each = (work) => () => feeds().forEach(work);
  const wake = each((feed) => feed.wake());
  const seen = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(each((feed) => feed.rest(false)), UNSEEN);
    else wake();
  };
  const renew = each((feed) => {
    feed.renew();
    feed.wake();
  });
  const listen = (target, name, work) => target?.addEventListener?.(name, work, {signal});
  listen(globalThis, "online", renew);
  listen(globalThis, "pagehide", each((feed) => feed.rest(true)));
  listen(globalThis, "pageshow", ({persisted}) => persisted && wake());
  listen(document, "visibilitychange", seen);
  signal.addEventListener("abort", () => clearTimeout(timer));
  if (document?.hidden) seen();
}
