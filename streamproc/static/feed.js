// A feed keeps jobs up to date: by one stream; where streams don't get through, by long polls; else by polls.
//
// A stream that breaks is opened again, with the token of what was had. One that says nothing at all, while plain
// requests are answered, is taken for blocked by something in between; then we poll, and try streams again every minute.

import {Problem} from "./gateway.js";
import {messages} from "./sse.js";

const FIRST_BYTE = 4_000; // a stream says something at once,
const SILENCE = 40_000; //   and then at least every 15 s
const POLLED = 60_000;
const LONGEST = 5_000;
const REFUSED = 60_000;
const MOST_STREAMS = 4; // browsers open 6 connections to an HTTP/1.1 server
const ENOUGH_BLOCKED = 2;

/** Wait; ends early, and quietly, with the signal. */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

/**
 * What both kinds of feeds share. A subclass says what to follow: `path(token)`, null where there is nothing;
 * `hear(event, data)` takes what a stream says, `poll(signal)` asks again and again, and `probe(signal)` asks once.
 */
export class Feed {
  /** "connecting" | "live" | "stale" | "polling" | "gone", since when, and why. */
  status = {state: "connecting", since: new Date(), problem: null};

  #turn = new AbortController();
  #pause = new AbortController();
  #closed = false;
  #resting = false;
  #token = null;
  #blocked = 0;
  #failures = 0;
  #heard = null;
  #retry = 1_000;

  constructor(gateway, moved) {
    this.gateway = gateway;
    this.moved = moved;
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

  /** Let go of the connection until `wake`. */
  rest() {
    this.#resting = true;
    this.#turn.abort();
  }

  /** Go on at once, be it from a rest or from waiting before the next attempt. */
  wake() {
    if (this.#resting) this.#turn.abort();
    this.#resting = false;
    this.#pause.abort();
  }

  close() {
    this.#closed = true;
    this.#turn.abort();
  }

  /** Tell of a state, where it is another. */
  be(state, problem = null) {
    if (state === "live" || state === "polling") this.#heard = new Date();
    if (state === this.status.state) return;
    const since = state === "stale" ? (this.#heard ?? this.status.since) : new Date();
    this.status = {state, since, problem};
    this.moved();
  }

  async #once(signal) {
    const path = this.path(this.#token);
    if (path === null || this.#resting) await sleep(2 ** 31 - 1, signal);
    else if (this.#blocked < ENOUGH_BLOCKED && this.gateway.streams < MOST_STREAMS) await this.#stream(path, signal);
    else await this.#poll(signal);
  }

  async #stream(path, signal) {
    const silent = new AbortController();
    let dog = setTimeout(() => silent.abort(), FIRST_BYTE);
    let heard = false;
    this.gateway.streams++;
    try {
      const response = await this.gateway.request(path, {
        headers: {accept: "text/event-stream", ...(this.#token && {"last-event-id": this.#token})},
        signal: AbortSignal.any([signal, silent.signal]),
        cache: "no-store",
      });
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Problem(0, null);
      const alive = () => {
        heard = true;
        clearTimeout(dog);
        dog = setTimeout(() => silent.abort(), SILENCE);
      };
      for await (const message of messages(response.body, alive)) this.#take(message);
    } catch (error) {
      if (signal.aborted) return;
      if (heard) this.#broken();
      else throw silent.signal.aborted ? new Problem(0, null) : error;
    } finally {
      clearTimeout(dog);
      this.gateway.streams--;
    }
    if (signal.aborted || this.path(this.#token) === null) return;
    this.#broken();
    await this.#wait(this.#retry, signal);
  }

  #take({event, data, id, retry}) {
    this.#failures = this.#blocked = 0;
    if (retry) this.#retry = retry;
    if (id) this.#token = id;
    this.be("live");
    if (data) this.hear(event, JSON.parse(data));
  }

  #broken() {
    if (this.status.state !== "connecting") this.be("stale");
  }

  async #poll(signal) {
    this.gateway.longPolls = true;
    const until = new AbortController();
    const timer = setTimeout(() => until.abort(), POLLED);
    try {
      await this.poll(AbortSignal.any([signal, until.signal]));
    } catch (error) {
      if (!until.signal.aborted || signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
    this.#blocked = ENOUGH_BLOCKED - 1;
  }

  async #failed(error, signal) {
    if (!(error instanceof Problem)) {
      reportError(error);
      error = new Problem(0, null);
    }
    if (error.status === 400 && this.#token) {
      this.#token = null; // it is of something else, or of another time
      return;
    }
    if ([401, 403, 404].includes(error.status)) {
      this.be("gone", error);
      await this.#wait(REFUSED, signal);
      return;
    }
    if (await this.#answers(signal)) {
      this.#blocked++;
      this.be("polling");
    } else if (!signal.aborted) {
      this.#blocked = 0;
      this.#broken();
    }
    const longest = Math.min(LONGEST, 250 * 2 ** this.#failures++);
    await this.#wait(error.retryAfter ?? longest * (0.5 + Math.random() / 2), signal);
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

  async #wait(ms, signal) {
    this.#pause = new AbortController();
    await sleep(ms, AbortSignal.any([signal, this.#pause.signal]));
  }
}
