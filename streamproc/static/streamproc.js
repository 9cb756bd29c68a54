// Progress for any page: `import {connect} from "/static/streamproc.js"`, and two elements.
// <job-progress job="import-42">: a job as a bar, live. <job-list kind="import">: jobs that match, the newest first.

import {Client, Problem, connect} from "./client.js";
import {isFinal} from "./gateway.js";
import {announcer, connectionWord, duration, instant, make, mark, percentText, root, say, statusWord} from "./look.js";

const TICK = 1_000;
const MOST = 20;
const FILTERS = ["status", "kind", "worker", "owner", "label", "stalled", "q"];
const HERE = import.meta.url.replace(/\/static\/.*$/, "");

const CONNECTING = {state: "connecting", problem: null};

const shown = new Set();
const clients = new Map();
let all = null;

/** Have all elements follow by this client: for tokens. Without it they ask `src`, or where this module is from. */
export function setClient(client) {
  all = client;
  for (const element of shown) element.restart();
}

function clientAt(url) {
  if (!clients.has(url)) clients.set(url, connect(url));
  return clients.get(url);
}

// On a server there is no page, and the module may still be imported.
const Base = globalThis.HTMLElement ?? class {};

/** An element that follows something: `start(client)` returns what to `close()`, or nothing. */
class Following extends Base {
  #following = null;
  #client = null;
  #due = false;

  /** By which client it follows; null: by that of all elements. */
  get client() {
    return this.#client;
  }

  set client(client) {
    this.#client = client;
    this.restart();
  }

  connectedCallback() {
    shown.add(this);
    // What was set before this was such an element hides what it sets now.
    for (const name of ["client", "job"].filter((name) => Object.hasOwn(this, name))) {
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    this.refresh();
    if (!this.#following) this.restart();
  }

  connectedMoveCallback() {}

  disconnectedCallback() {
    // It may only be moved.
    queueMicrotask(() => this.isConnected || this.leave());
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "href") this.refresh();
    else this.restart();
  }

  leave() {
    shown.delete(this);
    this.#following?.close();
    this.#following = null;
  }

  /** Begin anew: once, however many attributes have changed. */
  restart() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (!this.isConnected) return;
      this.#following?.close();
      this.#following = null;
      try {
        const src = this.getAttribute("src");
        this.#following = this.start(this.#client ?? (src ? clientAt(src) : (all ?? clientAt(HERE))));
      } catch (problem) {
        this.failed({state: "gone", problem}); // `src` may be no URL
      }
    });
  }
}

const ticking = new Set();
let timer = null;

/** Once a second, what is left gets less. */
function tick(element, on) {
  if (on) ticking.add(element);
  else ticking.delete(element);
  if (ticking.size) timer ??= setInterval(() => ticking.forEach((one) => one.refresh()), TICK);
  else timer = clearInterval(timer) ?? null;
}

export class JobProgress extends Following {
  static observedAttributes = ["job", "src", "href"];

  #parts = null;
  #snapshot = null;
  #status = CONNECTING;
  #came = 0;
  #said = null;
  #follows = false;

  get job() {
    return this.getAttribute("job");
  }

  set job(job) {
    mark(this, "job", job);
  }

  /** The job as it was last seen; null before that. */
  get snapshot() {
    return this.#snapshot;
  }

  start(client) {
    const {job} = this;
    if (!job && !this.#follows) return null; // somebody else shows it one
    this.#follows = Boolean(job);
    this.#said = null;
    this.show(null, CONNECTING);
    return job && client.follow(job, (snapshot, status) => this.show(snapshot, status));
  }

  failed(status) {
    this.show(null, status);
  }

  leave() {
    super.leave();
    tick(this, false);
  }

  /** Show a snapshot. */
  show(snapshot, status = {state: "live", problem: null}) {
    const before = this.#snapshot;
    const isSame = snapshot === before && status.state === this.#status.state && status.problem === this.#status.problem;
    if (snapshot !== before) this.#came = performance.now();
    this.#snapshot = snapshot;
    this.#status = status;
    this.refresh();
    if (isSame) return;
    const was = before?.job_id === snapshot?.job_id ? (before?.status ?? null) : null;
    const detail = {job: this.#job, snapshot, was, ...status};
    const tell = (name) => this.dispatchEvent(new CustomEvent(name, {detail, bubbles: true, composed: true}));
    tell("jobchange");
    if (isFinal(snapshot) && !isFinal({status: was})) tell("jobend");
  }

  get #job() {
    return this.#snapshot?.job_id ?? this.job ?? this.#status.job ?? "";
  }

  refresh() {
    const parts = (this.#parts ??= build(this));
    const snapshot = this.#snapshot;
    const job = this.#job;
    const percent = Number.isFinite(snapshot?.percent) ? snapshot.percent : null;
    const word = snapshot ? statusWord(snapshot) : "";
    const title = snapshot?.title || job;
    const done = [percentText(percent), word].filter(Boolean).join(" · ");
    // Without a percent a running job is indeterminate: then there is no value to tell (WAI-ARIA).
    const unsure = percent === null && ["running", "started"].includes(snapshot?.status);
    const classes = [snapshot?.status, snapshot?.stalled && "stalled", unsure && "unsure", this.#status.state];
    mark(parts.all, "class", classes.filter(Boolean).join(" "));
    say(parts.title, title);
    mark(parts.title, "title", title);
    mark(parts.title, "href", job ? (this.getAttribute("href")?.replaceAll("{job}", encodeURIComponent(job)) ?? null) : null);
    say(parts.status, done);
    mark(parts.track, "aria-label", title || null);
    mark(parts.track, "aria-valuenow", percent);
    mark(parts.track, "aria-valuetext", done || connectionWord(this.#status) || null);
    parts.bar.style.setProperty("--part", String((percent ?? 0) / 100));
    this.#tell(parts, snapshot, job);
    // Said aloud is only what becomes of it: not each percent, nor what was so when the page came.
    if (this.#said && word && word !== this.#said) (this.announce ?? parts.announce)(`${title}: ${word}`);
    this.#said = word || this.#said;
    tick(this, this.isConnected && !isFinal(snapshot) && Boolean(snapshot?.eta?.remaining_seconds));
  }

  #tell({about, left, more}, snapshot, job) {
    const stage = snapshot && !isFinal(snapshot) ? snapshot.current_stage : null;
    const text = [connectionWord(this.#status), stage, snapshot?.error?.detail ?? snapshot?.message].filter(Boolean).join(" · ");
    const eta = isFinal(snapshot) ? null : snapshot?.eta;
    const seconds = eta?.remaining_seconds?.p50;
    const isLeft = Number.isFinite(seconds);
    const rest = isLeft ? `about ${duration(seconds - (performance.now() - this.#came) / 1000)} left` : "";
    say(more, text);
    say(left, rest && text ? ` · ${rest}` : rest);
    mark(left, "datetime", (isLeft && eta.finish_at?.p50) || null);
    mark(left, "title", (isLeft && instant(eta.finish_at?.p50)) || null);
    mark(about, "title", text || job || null);
  }
}

function build(element) {
  const title = make("a", {class: "title", part: "title", dir: "auto"});
  const status = make("span", {class: "status", part: "status", dir: "auto"});
  const bar = make("div", {class: "bar", part: "bar"});
  const track = make("div", {class: "track", part: "track", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100}, bar);
  const more = make("bdi");
  const left = make("time");
  const about = make("div", {class: "about", part: "about", dir: "auto"}, more, left);
  const news = make("span", {class: "unseen", role: "status"});
  const all = make("div", {}, make("div", {class: "line"}, title, status), track, about, news);
  root(element).append(all);
  return {all, title, status, track, bar, about, more, left, announce: announcer(news)};
}

/** Of two jobs with their snapshots. */
const newestFirst = ([job, {created_at: at}], [other, {created_at: otherAt}]) =>
  at === otherAt ? (job < other ? -1 : 1) : at < otherAt ? 1 : -1;

export class JobList extends Following {
  static observedAttributes = [...FILTERS, "jobs", "most", "src", "href"];

  #parts = null;
  #jobs = new Map();
  #rows = new Map();
  #named = null;
  #status = CONNECTING;

  start(client) {
    const named = this.getAttribute("jobs")?.split(/[\s,]+/).filter(Boolean);
    this.#named = named ? [...new Set(named)] : null;
    this.#jobs.clear();
    this.#moved("connecting", CONNECTING);
    const filter = Object.fromEntries(FILTERS.map((name) => [name, this.getAttribute(name)]));
    return client.followMany(this.#named ?? filter, (job, snapshot) => this.#take(job, snapshot), {onState: this.#moved});
  }

  failed(status) {
    this.#moved(status.state, status);
  }

  #moved = (_, status) => {
    this.#status = status;
    this.refresh();
  };

  #take(job, snapshot) {
    const known = this.#jobs.has(job);
    if (snapshot === null && !this.#named) this.#jobs.delete(job);
    else this.#jobs.set(job, snapshot);
    if (this.#rows.has(job) && this.#jobs.has(job) && (known || this.#named)) this.#show(job);
    else this.refresh();
  }

  #show(job) {
    const snapshot = this.#jobs.get(job) ?? null;
    const isAbsent = !snapshot && this.#jobs.has(job);
    const status = isFinal(snapshot) ? {state: "live"} : isAbsent ? {state: "gone"} : this.#status;
    this.#rows.get(job).show(snapshot, {...status, job});
  }

  refresh() {
    const {list, note} = (this.#parts ??= buildList(this));
    const most = Math.max(0, parseInt(this.getAttribute("most"), 10)) || MOST;
    const jobs = this.#named ?? [...this.#jobs].sort(newestFirst).map(([job]) => job);
    // Jobs that have ended make room for others.
    if (!this.#named) for (const job of jobs.slice(most)) if (isFinal(this.#jobs.get(job))) this.#jobs.delete(job);
    const rows = new Map(jobs.slice(0, most).map((job) => [job, this.#rows.get(job) ?? this.#row()]));
    for (const [job, row] of this.#rows) if (!rows.has(job)) row.parentNode.remove();
    this.#rows = rows;
    let at = list.firstChild;
    for (const [job, {parentNode: item}] of rows) {
      if (item === at) at = at.nextSibling;
      else list.insertBefore(item, at);
      mark(item.firstChild, "href", this.getAttribute("href"));
      this.#show(job);
    }
    mark(list, "hidden", rows.size ? null : "");
    const more = (this.#named ?? [...this.#jobs]).length - rows.size;
    say(note, more ? `and ${more} more` : rows.size ? "" : connectionWord(this.#status) || "No jobs");
  }

  #row() {
    const row = make("job-progress");
    row.announce = this.#parts.announce;
    make("li", {}, row);
    return row;
  }
}

function buildList(element) {
  const list = make("ul", {part: "list", role: "list"});
  const note = make("div", {class: "about", part: "note"});
  const news = make("span", {class: "unseen", role: "status"});
  root(element).append(list, note, news);
  return {list, note, announce: announcer(news)};
}

for (const [name, element] of [["job-progress", JobProgress], ["job-list", JobList]]) {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, element);
}

export {Client, Problem, connect};
