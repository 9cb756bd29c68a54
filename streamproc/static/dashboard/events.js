/** What happened to a job, event by event, with a search; and its attempts. */

import { jobPath } from "./api.js";
import { afterQuiet, attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { number, setTime, time } from "./format.js";
import { virtualList } from "./virtual.js";

const ROW = 34;
const PAGE = 1_000;
const MOST_KEPT = 50_000;
const LEAST_PAUSE_MS = 1_000;
const SHOWN_APART = new Set(["job", "type", "src", "seq", "at"]);
const ENDS = { "job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled", "job.released": "given back" };

export function events(job, client) {
  const search = h("input", { type: "search", id: "find", placeholder: "Type, stage, unit, message…", autocomplete: "off" });
  const told = h("p", { class: "quiet", role: "status" });
  const whole = h("pre", { class: "whole", hidden: true, tabindex: "0", "aria-label": "The event", dir: "auto" });
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Events of the job" });
  const list = virtualList("Events, the newest first", () => makeRow(look), (entry) => entry.position, { height: () => ROW, scroller });
  scroller.append(list.element);
  const attempts = h("ol", { class: "attempts" });
  const ofAttempts = h("section", { hidden: true }, h("h2", {}, "Attempts"), attempts);
  const ofEvents = h("section", {}, h("h2", {}, "Events"), h("label", { class: "field", for: "find" }, h("span", {}, "Search"), search), told, scroller, whole);
  const element = h("div", { class: "stack" }, ofAttempts, ofEvents);
  let found = [];
  let position = null;
  let isBusy = false;
  let isOver = false;
  let notBefore = 0;
  let wanted = 0;

  /** Read on from the last event that was read. */
  async function read() {
    isBusy = true;
    try {
      for (let next = position; !isOver; ) {
        const page = await client.get(jobPath(job, "/events", { after: position, limit: PAGE }));
        for (const entry of page.events) {
          const { type, ...rest } = entry.event;
          const fields = Object.entries(rest).filter(([name]) => !SHOWN_APART.has(name));
          entry.text = fields.map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
          entry.searched = `${type} ${entry.mark ?? ""} ${entry.text}`.toLowerCase();
          found.push(entry);
        }
        position = page.events.at(-1)?.position ?? position;
        if (found.length > MOST_KEPT) found = found.slice(-MOST_KEPT);
        filter();
        if (!page.next || next === page.next) break;
        next = page.next;
      }
      say(told, count());
    } catch (error) {
      say(told, `The events can't be read now: ${error.message}`);
    }
    showAttempts();
    notBefore = Date.now() + LEAST_PAUSE_MS;
    isBusy = false;
  }

  let shown = 0;
  const count = () => (shown === found.length ? `${number(found.length)} events, the newest first` : `${number(shown)} of ${number(found.length)} events`);

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const those = found.filter(({ searched }) => words.every((word) => searched.includes(word))).reverse();
    shown = those.length;
    list.set(those);
    say(told, count());
  }
  const filterSoon = afterQuiet(120, filter);
  search.addEventListener("input", filterSoon);

  function look(entry) {
    whole.hidden = false;
    whole.textContent = JSON.stringify({ position: entry.position, time: entry.time, mark: entry.mark, event: entry.event }, null, 2);
    whole.scrollIntoView({ block: "nearest" });
  }

  function showAttempts() {
    const all = attemptsOf(found);
    ofAttempts.hidden = all.length < 2;
    attempts.replaceChildren(...all.map((each) => h("li", {}, h("b", {}, `Attempt ${number(each.attempt)}`), " ", time(each.from), " ",
      h("span", { dir: "auto" }, [each.worker, each.end, each.why].filter(Boolean).join(" · ")))));
  }

  function show(_, live) {
    if (live.position === wanted && !isFinal(live)) return;
    if (isBusy || Date.now() < notBefore || (live.position === wanted && position !== null)) return;
    wanted = live.position;
    read();
  }
  return {
    element,
    show,
    close() {
      isOver = true;
      filterSoon.cancel();
      list.close();
    },
  };
}

/** The attempts that a history tells of: number, when it began, who did it, how it ended and why. */
function attemptsOf(history) {
  const found = [];
  for (const { event, time: at, mark } of history) {
    if (mark) continue;
    const isStart = event.type === "job.started" || event.type === "job.claimed";
    const latest = found.at(-1);
    if (isStart && (!latest || latest.end || (event.attempt ?? 1) > latest.attempt)) {
      found.push({ attempt: event.attempt ?? (latest?.attempt ?? 0) + 1, from: at, worker: event.worker });
    } else if (ENDS[event.type] && latest && !latest.end) {
      latest.end = ENDS[event.type];
      latest.why = event.error?.detail ?? event.reason;
    }
  }
  return found;
}

function makeRow(look) {
  const when = h("time");
  const type = h("button", { type: "button", class: "plain mono" });
  const text = h("span", { class: "cut quiet", dir: "auto" });
  const mark = h("span", { class: "mark" });
  const element = h("li", { class: "event" }, when, type, text, mark);
  let entry = null;
  type.addEventListener("click", () => look(entry));
  function show(shown) {
    entry = shown;
    setTime(when, shown.time);
    say(type, String(shown.event.type));
    say(text, shown.text);
    attribute(text, "title", shown.text.slice(0, 1_000));
    say(mark, shown.mark ?? "");
  }
  return { element, show };
}
