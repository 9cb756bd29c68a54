// What is asked of a gateway: by requests, by streams, and by polls where streams don't get through.

const MOST_STREAMS = 4; // a browser has six connections to an HTTP/1.1 server, for all of its tabs together
const ACTIVE = 1_000;
const IDLE = 5_000;
const SLOW = 60_000; // where nobody looks
const BREATH = 200; // between long polls
const WAIT = 25; // s
const AT_ONCE = 1_000;

const FINAL = new Set(["finished", "failed", "canceled"]);

const held = new Set();

/** A request that was refused (`status`, and `problem`: RFC 9457), or that got no answer (`status` 0). */
export class Problem extends Error {
  constructor(status, problem, retryAfter = null, cause = undefined) {
    const said = problem?.detail || problem?.title;
    super(said || (status ? `the gateway answered ${status}` : "the gateway can't be reached"), {cause});
    this.name = "Problem";
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter; // ms
  }
}

export class Gateway {
  /** Whether a stream has ever got through; and whether long polls are thought to. */
  streams = false;
  longPolls = true;

  #who;

  constructor(url, who = {}) {
    const {origin, pathname} = new URL(url, globalThis.document?.baseURI);
    this.url = origin + pathname.replace(/\/+$/, "");
    this.share = who.share ?? null;
    this.#who = who;
  }

  /** The answer to a request; 304 is one. `sent` is called once it is known who asks. Throws `Problem`. */
  async request(path, {headers = {}, sent, ...options} = {}) {
    const url = new URL(this.url + path);
    const all = new Headers(headers);
    const {token, ticket} = this.#who;
    if (this.share) url.searchParams.set("share", this.share);
    if (ticket) url.searchParams.set("ticket", await got("ticket", ticket));
    if (token) all.set("authorization", `Bearer ${await got("token", token)}`);
    sent?.();
    let response;
    try {
      response = await fetch(url, {...options, headers: all});
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem(0, null, null, error);
    }
    if (response.ok || response.status === 304) return response;
    throw await problemOf(response);
  }

  async get(path, options) {
    return json(await this.request(path, options));
  }

  async post(path, body, options = {}) {
    const headers = body === undefined ? {} : {"content-type": "application/json"};
    return json(
      await this.request(path, {
        ...options,
        method: "POST",
        headers: {...headers, ...options.headers},
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    );
  }
}

/** What says who asks: a text, or what a function of the page's gets. */
async function got(name, source) {
  try {
    return typeof source === "function" ? await source() : source;
  } catch (error) {
    throw new Problem(0, {title: `the page could get no ${name}: ${error?.message ?? error}`}, null, error);
  }
}

/** What an answer holds; something in between may have cut it off. */
async function json(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

async function problemOf(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A proxy's page, perhaps: its status has to do.
  }
  return new Problem(response.status, problem, millis(response.headers.get("retry-after")));
}

/** `Retry-After` in ms: seconds or an instant (RFC 9110, 10.2.3); null where it says nothing. */
function millis(text) {
  if (!text) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return ms > 0 ? ms : null;
}

/**
 * One of the few streams to a gateway, as what gives it back; null where all are taken. All tabs of the page's origin
 * share them where the browser can tell (Web Locks: pages by https, or of loopback); else each page has as many.
 */
export async function takeStream(url) {
  for (let number = 0; number < MOST_STREAMS; number++) {
    const name = `streamproc ${url} ${number}`;
    if (held.has(name)) continue;
    held.add(name);
    const unlock = await lock(name);
    if (unlock) {
      return () => {
        unlock();
        held.delete(name);
      };
    }
    held.delete(name);
  }
  return null;
}

/** What unlocks a name; null where another tab has it. The browser unlocks what a tab had that was closed. */
function lock(name) {
  if (!globalThis.navigator?.locks) return () => {};
  return new Promise((resolve) => {
    const has = (it) => it && new Promise((unlock) => resolve(unlock));
    // A page without an origin of its own (a sandboxed frame) may have none; then it counts alone.
    navigator.locks.request(name, {ifAvailable: true}, has).then(() => resolve(null), () => resolve(() => {}));
  });
}

/**
 * Server-sent events of a response's body (WHATWG HTML, 9.2), as they come.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} heard is called for each piece that arrives, be it only a comment
 */
export async function* messages(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let message = {event: "message", data: "", id: null, retry: null};
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const text of lines) {
        const line = text.endsWith("\r") ? text.slice(0, -1) : text;
        if (line === "") {
          yield message;
          message = {event: "message", data: "", id: null, retry: null};
          continue;
        }
        const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === "data") message.data += (message.data && "\n") + content;
        else if (field === "event" || field === "id") message[field] = content;
        else if (field === "retry" && /^\d+$/.test(content)) message.retry = Number(content);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // where it broke by itself there is nothing to let go of
  }
}

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

/** Whether nothing more will come of a job; null is one that isn't there. */
export const isFinal = (snapshot) => FINAL.has(snapshot?.status);

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
