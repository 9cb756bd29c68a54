// <job-list kind="import">: jobs that match, live, the newest first.

import {Following} from "./following.js";
import {connectionWord, make, mark, root, say} from "./look.js";
import {isFinal} from "./polls.js";

const FILTERS = ["status", "kind", "worker", "owner", "label", "stalled", "q"];
const MOST = 20;

export class JobList extends Following {
  static observedAttributes = [...FILTERS, "jobs", "most"];

  #parts = null;
  #jobs = new Map();
  #rows = new Map();
  #status = {state: "connecting"};

  start(client) {
    this.#jobs.clear();
    this.#render();
    const named = this.getAttribute("jobs")?.split(/[\s,]+/).filter(Boolean);
    const filter = Object.fromEntries(FILTERS.map((name) => [name, this.getAttribute(name)]));
    return client.followMany(named ?? filter, (job, snapshot) => this.#take(job, snapshot), {
      onState: (_, status) => {
        this.#status = status;
        this.#render();
      },
    });
  }

  #take(job, snapshot) {
    const known = this.#jobs.get(job);
    if (snapshot === null) this.#jobs.delete(job);
    else this.#jobs.set(job, snapshot);
    if (known && snapshot && this.#rows.has(job)) this.#rows.get(job).firstChild.show(snapshot, this.#status);
    else this.#render();
  }

  #render() {
    const {list, note} = (this.#parts ??= build(this));
    const most = Number(this.getAttribute("most")) || MOST;
    const jobs = [...this.#jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    this.#forget(jobs, most);
    const shown = jobs.slice(0, most);
    const rows = new Map(shown.map((job) => [job.job_id, this.#rows.get(job.job_id) ?? row()]));
    for (const [job, row] of this.#rows) if (!rows.has(job)) row.remove();
    this.#rows = rows;
    let at = list.firstChild;
    for (const snapshot of shown) {
      const row = rows.get(snapshot.job_id);
      if (row === at) at = at.nextSibling;
      else list.insertBefore(row, at);
      row.firstChild.show(snapshot, this.#status);
    }
    mark(list, "hidden", shown.length ? null : "");
    const more = this.#jobs.size - shown.length;
    const empty = this.#status.state === "live" || this.#status.state === "polling" ? "No jobs" : "";
    say(note, more ? `and ${more} more` : shown.length ? "" : connectionWord(this.#status) || empty);
  }

  /** Jobs that have ended make room for others. */
  #forget(jobs, most) {
    for (const job of jobs.slice(most)) if (isFinal(job)) this.#jobs.delete(job.job_id);
  }
}

const row = () => make("li", {}, document.createElement("job-progress"));

function build(element) {
  const list = make("ul", {part: "list"});
  const note = make("div", {class: "about", part: "note"});
  root(element).append(list, note);
  return {list, note};
}
