/** The jobs of a list: their newest snapshots, and in which order they are shown, be it that it should be another by now. */

const MOST = 10_000;
const OFFERED = 100;

export class Order {
  /** By job. */
  snapshots = new Map();
  jobs = [];
  /** Where the list goes on; null at its end. */
  next = null;
  #head = null;

  /** Take the head of the list as it is now. What is shown stays as it is until `apply`. */
  take(page) {
    this.#head = { jobs: this.#keep(page), next: page.next };
  }

  /** Have the head come above: it is the whole list where it is all of it, or where nothing of what was shown is in it. */
  apply() {
    if (!this.#head) return;
    const { jobs, next } = this.#head;
    const last = this.jobs.indexOf(jobs.at(-1));
    if (next === null || last < 0 || this.jobs.length > MOST) {
      this.jobs = jobs;
      this.next = next;
    } else {
      const newest = new Set(jobs);
      this.jobs = [...jobs, ...this.jobs.slice(last + 1).filter((job) => !newest.has(job))];
    }
    this.#head = null;
    const shown = new Set(this.jobs);
    for (const job of this.snapshots.keys()) if (!shown.has(job)) this.snapshots.delete(job);
  }

  /** Go on where the list ended. */
  append(page) {
    const known = new Set(this.jobs);
    this.jobs = [...this.jobs, ...this.#keep(page).filter((job) => !known.has(job))];
    this.next = page.next;
  }

  #keep(page) {
    return page.jobs.map((snapshot) => {
      const known = this.snapshots.get(snapshot.job_id);
      if (!known || known.updated_at <= snapshot.updated_at) this.snapshots.set(snapshot.job_id, snapshot);
      return snapshot.job_id;
    });
  }

  /** Whether the list should begin otherwise than it does. */
  get differs() {
    if (!this.#head) return false;
    const { jobs, next } = this.#head;
    return jobs.some((job, at) => job !== this.jobs[at]) || (next === null && jobs.length !== this.jobs.length);
  }

  /** How many of its head aren't shown yet. */
  get fresh() {
    const shown = new Set(this.jobs);
    return this.#head?.jobs.filter((job) => !shown.has(job)).length ?? 0;
  }

  /** Whether nothing of what is shown is in its head, so that there may be more between them. */
  get isGap() {
    return this.fresh === this.#head?.jobs.length && this.#head.next !== null;
  }

  /** What the jobs have of something that they can be found by. */
  known(name) {
    const all = [...this.snapshots.values()];
    const found = name === "label" ? all.flatMap(({ labels }) => Object.entries(labels).map((pair) => pair.join(":"))) : all.map((snapshot) => snapshot[name]);
    return [...new Set(found)].filter(Boolean).sort().slice(0, OFFERED);
  }
}
