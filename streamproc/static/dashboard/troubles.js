/** A list of jobs with what is wrong with each. */

import { attribute, h, say } from "./dom.js";
import { exact, instant, now, number, percent } from "./format.js";

/**
 * A section; `all` is the address of all such jobs. `show(jobs, count, more)` shows jobs, says how many there are in all, and what else is to be known of that;
 * `tick()` says anew what is wrong, as time goes by.
 *
 * @param wrongOf of a job: `wrong` in few words, `when` and `at` the instant that it is about, and `about` it at length
 */
export function troubles({ name, title, about, none, wrongOf, all: link }) {
  const count = h("span", { class: "count-of" });
  const list = h("ul", { class: "troubles" });
  const nothing = h("p", { class: "quiet" });
  const rows = new Map();
  const others = link && h("p", { hidden: true }, h("a", { href: link }, "All of them, in the list of jobs"));
  const element = h("section", { class: name }, h("h2", {}, title, " ", count), h("p", { class: "quiet" }, about), list, nothing, others);

  function show(jobs, all, more) {
    say(count, all ? number(all) : "");
    list.hidden = !jobs.length;
    if (others) others.hidden = !jobs.length;
    const rest = all > jobs.length ? `And ${number(all - jobs.length)} more.` : "";
    say(nothing, [jobs.length || more ? "" : none, rest, more].filter(Boolean).join(" "));
    nothing.hidden = !nothing.textContent;
    const kept = new Set(jobs.map((job) => job.job_id));
    for (const [id, row] of rows) if (!kept.has(id) && rows.delete(id)) row.element.remove();
    let place = list.firstChild;
    for (const job of jobs) {
      if (!rows.has(job.job_id)) rows.set(job.job_id, rowOf(wrongOf));
      const row = rows.get(job.job_id);
      row.show({ ...job, seen: now() });
      if (row.element === place) place = place.nextSibling;
      else list.insertBefore(row.element, place);
    }
  }

  return { element, show, tick: () => rows.forEach((row) => row.tick()) };
}

function rowOf(wrongOf) {
  const link = h("a", { dir: "auto" });
  const kind = h("small", { dir: "auto", class: "cut" });
  const wrong = h("b", { dir: "auto", class: "cut" });
  const when = h("time", { dir: "auto" });
  const about = h("span", { dir: "auto", class: "cut about" });
  const since = h("span");
  const doing = h("small", { dir: "auto", class: "cut" });
  const element = h("li", { class: "trouble" }, h("div", {}, link, kind), h("div", {}, wrong, about), h("div", {}, doing, h("small", {}, since, when)));
  let job = null;

  function tick() {
    const found = wrongOf(job);
    say(wrong, found.wrong);
    say(about, found.about);
    say(since, `${found.when} `);
    attribute(about, "title", found.about);
    attribute(when, "datetime", found.at);
    attribute(when, "title", exact(found.at));
    say(when, instant(found.at));
  }

  function show(snapshot) {
    job = snapshot;
    const title = job.title ?? job.job_id;
    say(link, title);
    attribute(link, "title", title);
    attribute(link, "href", `#/jobs/${encodeURIComponent(job.job_id)}`);
    say(kind, [job.kind, job.title ? job.job_id : null].filter(Boolean).join(" · "));
    say(doing, [Number.isFinite(job.percent) ? percent(job.percent) : null, job.current_stage, job.worker].filter(Boolean).join(" · ") || "no worker");
    attribute(doing, "title", job.message);
    tick();
  }
  return { element, show, tick };
}
