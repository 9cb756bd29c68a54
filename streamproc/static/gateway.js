// Requests to a gateway: who asks, and what is wrong with the answer.

/** A request that was refused (`status`, and `problem`: RFC 9457), or that got no answer (`status` 0). */
export class Problem extends Error {
  constructor(status, problem, retryAfter = null) {
    super(problem?.detail || problem?.title || (status ? `the gateway answered ${status}` : "the gateway can't be reached"));
    this.name = "Problem";
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter; // ms
  }
}

export class Gateway {
  #token;
  #ticket;

  /**
   * @param {string} url
   * @param {{token?: string | (() => string | Promise<string>), ticket?: () => string | Promise<string>, share?: string}} [who]
   */
  constructor(url, {token, ticket, share} = {}) {
    this.url = String(url).replace(/\/+$/, "");
    this.share = share ?? null;
    this.streams = 0;
    this.longPolls = true;
    this.#token = token;
    this.#ticket = ticket;
  }

  /** The answer to a request; 304 is one. Throws `Problem`. */
  async request(path, {headers = {}, ...options} = {}) {
    const url = new URL(this.url + path);
    const sent = new Headers(headers);
    if (this.share) url.searchParams.set("share", this.share);
    if (this.#ticket) url.searchParams.set("ticket", await this.#ticket());
    if (this.#token) {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      sent.set("authorization", `Bearer ${token}`);
    }
    let response;
    try {
      response = await fetch(url, {...options, headers: sent});
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem(0, null);
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

async function json(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

async function problemOf(response) {
  const seconds = Number(response.headers.get("retry-after"));
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A proxy's page, perhaps: its status has to do.
  }
  return new Problem(response.status, problem, seconds ? seconds * 1000 : null);
}
