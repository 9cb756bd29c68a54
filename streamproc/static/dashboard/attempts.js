/** The attempts at a job: who did each, how long it took, and how it ended. */

import { jobPath } from "./api.js";
import { badge } from "./bar.js";
import { h, say } from "./dom.js";
import { duration, millis, now, number, time } from "./format.js";

const AGAIN_MS = 5_000;

export function attempts(job, client) {
  const rows = h("ol", { class: "attempts" });
  const problem = h("p", { class: "quiet", role: "status" });
  const element = h("section", { hidden: true }, h("h2", {}, "Attempts"), problem, rows);
  let key = null;
  let took = () => {};

  async function read() {
    try {
      const { attempts: found } = await client.get(jobPath(job, "/attempts"));
      const made = found.toReversed().map((attempt, at) => makeRow(attempt, at === 0));
      rows.replaceChildren(...made.map((row) => row.element));
      took = made[0]?.tick ?? took;
      say(problem, "");
    } catch (error) {
      setTimeout(() => {
        key = null;
      }, AGAIN_MS);
      say(problem, `The attempts can't be read now: ${error.message}`);
    }
  }

  function show(_, live) {
    element.hidden = live.attempt < 2;
    if (element.hidden) return;
    const wanted = [live.attempt, live.status, live.worker].join();
    if (wanted !== key) {
      key = wanted;
      read();
    }
    took();
  }
  return { element, show };
}

function makeRow({ attempt, worker, started_at: from, finished_at: to, status, error }, isLatest) {
  const mark = badge();
  mark.show(status ?? (isLatest ? (from ? "running" : "queued") : "given up"));
  const spent = h("span", { class: "took" });
  function tick() {
    const seconds = ((to ? millis(to) : now()) - millis(from)) / 1000;
    say(spent, Number.isFinite(seconds) && (to || isLatest) ? duration(Math.max(0, seconds)) : "");
  }
  tick();
  const why = error && [error.type, error.detail].filter(Boolean).join(": ");
  const element = h("li", {}, h("b", {}, `Attempt ${number(attempt)}`), mark.element, spent,
    h("span", { class: "quiet" }, from ? time(from) : "not begun yet", worker ? h("span", { dir: "auto" }, ` · ${worker}`) : null),
    why && h("p", { class: "wrong", dir: "auto", title: why }, why));
  return { element, tick: to ? () => {} : tick };
}
