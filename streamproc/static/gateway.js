// Requests to a gateway: who asks, what is wrong with the answer, what a stream says, and how many of them there may be.

const MOST_STREAMS = 4; // a browser has six connections to an HTTP/1.1 server, for all of its tabs together
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

  /**
   * @param {string | URL} url
   * @param {{token?: string | (() => string | Promise<string>), ticket?: () => string | Promise<string>, share?: string}} [who]
   */
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
    if (ticket) url.searchParams.set("ticket", await got("ticket", ticket, options.signal));
    if (token) all.set("authorization", `Bearer ${await got("token", token, options.signal)}`);
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

/** What says who asks: a text, or what a function gets, as long as somebody waits for it. */
async function got(name, source, signal) {
  if (typeof source !== "function") return source;
  let gone;
  try {
    return await Promise.race([
      source(),
      new Promise((_, reject) => {
        gone = () => reject(signal.reason);
        if (signal?.aborted) gone();
        signal?.addEventListener("abort", gone);
      }),
    ]);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, {title: `the page could get no ${name}: ${error?.message ?? error}`}, null, error);
  } finally {
    signal?.removeEventListener("abort", gone);
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
