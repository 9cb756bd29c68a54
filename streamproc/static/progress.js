// <job-progress job="import-42">: a job as a bar, live.

import {Following} from "./following.js";
import {connectionWord, duration, instant, make, mark, percentText, root, say, statusWord} from "./look.js";
import {isFinal} from "./polls.js";

const TICK = 1_000;
const ticking = new Set();

/** Once a second, what is left gets less. */
function tick(element, on) {
  const was = ticking.size;
  if (on) ticking.add(element);
  else ticking.delete(element);
  if (!was && ticking.size) {
    const timer = setInterval(() => {
      for (const one of ticking) one.refresh();
      if (!ticking.size) clearInterval(timer);
    }, TICK);
  }
}

export class JobProgress extends Following {
  static observedAttributes = ["job"];

  #parts = null;
  #snapshot = null;
  #status = {state: "connecting"};
  #came = 0;
  #word = "";

  /** The job as it was last seen; null before that. */
  get snapshot() {
    return this.#snapshot;
  }

  start(client) {
    const job = this.getAttribute("job");
    if (!job) return null;
    this.show(null, {state: "connecting"});
    return client.follow(job, (snapshot, status) => this.show(snapshot, status));
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    tick(this, false);
  }

  /** Show a snapshot. */
  show(snapshot, status = {state: "live"}) {
    if (snapshot !== this.#snapshot) this.#came = performance.now();
    this.#snapshot = snapshot;
    this.#status = status;
    this.refresh();
    tick(this, this.isConnected && !isFinal(snapshot) && Boolean(snapshot?.eta?.remaining_seconds));
    this.dispatchEvent(new CustomEvent("jobchange", {detail: {snapshot, ...status}}));
  }

  refresh() {
    const parts = (this.#parts ??= build(this));
    const snapshot = this.#snapshot;
    const job = snapshot?.job_id ?? this.getAttribute("job") ?? "";
    const percent = snapshot?.percent ?? null;
    const word = snapshot ? statusWord(snapshot) : "";
    const title = snapshot?.title || job;
    const done = snapshot ? [percentText(percent), word].filter(Boolean).join(" · ") : "";
    // Without a percent a running job is indeterminate: then there is no value to tell (WAI-ARIA).
    const unsure = percent === null && ["running", "started"].includes(snapshot?.status);
    mark(parts.all, "class", [snapshot?.status, snapshot?.stalled && "stalled", unsure && "unsure", this.#status.state].filter(Boolean).join(" "));
    say(parts.title, title);
    mark(parts.title, "title", title);
    say(parts.status, done);
    mark(parts.track, "aria-label", title);
    mark(parts.track, "aria-valuenow", percent);
    mark(parts.track, "aria-valuetext", done || connectionWord(this.#status) || null);
    parts.bar.style.setProperty("--part", String((percent ?? 0) / 100));
    this.#tell(parts, snapshot, job);
    // Said aloud is only what becomes of it: not each percent, nor what was so when the page came.
    if (this.#word && word && word !== this.#word) say(parts.news, `${title}: ${word}`);
    this.#word = word;
  }

  #tell({about, left, more}, snapshot, job) {
    const said = [connectionWord(this.#status)];
    if (snapshot) {
      const stage = isFinal(snapshot) ? null : snapshot.current_stage;
      said.push(stage, snapshot.error?.detail ?? snapshot.message);
    }
    const text = said.filter(Boolean).join(" · ");
    const seconds = snapshot?.eta?.remaining_seconds?.p50;
    const isLeft = Number.isFinite(seconds) && !isFinal(snapshot);
    const rest = isLeft ? `about ${duration(seconds - (performance.now() - this.#came) / 1000)} left` : "";
    say(more, text);
    say(left, rest && text ? ` · ${rest}` : rest);
    mark(left, "datetime", (isLeft && snapshot.eta.finish_at?.p50) || null);
    mark(left, "title", (isLeft && instant(snapshot.eta.finish_at?.p50)) || null);
    mark(about, "title", text || job);
  }
}

function build(element) {
  const title = make("span", {class: "title", part: "title", dir: "auto"});
  const status = make("span", {class: "status", part: "status"});
  const bar = make("div", {class: "bar", part: "bar"});
  const track = make("div", {class: "track", part: "track", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100}, bar);
  const more = make("span", {dir: "auto"});
  const left = make("time", {});
  const about = make("div", {class: "about", part: "about"}, more, left);
  const news = make("span", {class: "unseen", role: "status"});
  const all = make("div", {}, make("div", {class: "line"}, title, status), track, about, news);
  root(element).append(all);
  return {all, title, status, track, bar, about, more, left, news};
}
