/** A slider over a job's time: whoever moves it sees the job as it was then. */

import { jobPath } from "./api.js";
import { afterQuiet, attribute, h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { exact, instant, millis, now, percent } from "./format.js";

const PAGE_SHARE = 0.05;
const EVENTS_AHEAD = 20;
const AGAIN_MS = 1_000;
const ADDRESS_MS = 200;
const LAST_IN_MS = "18446744073709551615";

const isPosition = (at) => /^\d+-\d+$/.test(at);
const timeOf = (at) => (isPosition(at) ? Number(at.split("-")[0]) : millis(at));
const textOf = (ms) => new Date(ms).toISOString();

/**
 * The slider. Its moments are times (RFC 3339), or positions of events.
 *
 * @param moved is told the snapshot of a moment, with that moment in ms since 1970 as its `as_of`; or null for now
 * @param first the moment to begin at; null for now
 */
export function pastSlider(job, client, moved, first = null) {
  const slider = h("input", { type: "range", min: "0", max: "1", step: "1", value: "1", id: "moment", "aria-describedby": "moment-keys" });
  const label = h("output", { for: "moment" }, "now");
  const said = h("p", { class: "past-said", role: "status", hidden: true });
  const back = h("button", { type: "button", hidden: true, onclick: toNow }, "Back to now");
  const keys = h("p", { class: "visually-hidden", id: "moment-keys" }, "Arrow keys go from event to event, page keys by a twentieth of its time.");
  const element = h("section", { class: "past", hidden: true }, h("label", { for: "moment" }, "As it was at"), slider, label, back, said, keys);
  const watchers = [];
  let span = null;
  let live = null;
  let chosen = null;
  let shown = null;
  let ahead = { by: 0, from: null, positions: [] };
  let isLoading = false;
  let isStepping = false;
  let isOver = false;
  let timer = 0;

  slider.addEventListener("input", () => {
    if (slider.value === slider.max) toNow();
    else choose(textOf(span[0] + Number(slider.value)));
  });
  slider.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
    const pages = { PageDown: -PAGE_SHARE, PageUp: PAGE_SHARE };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in steps) step(steps[event.key]);
    else if (event.key in pages) go((chosen === null ? span[1] : timeOf(chosen)) + pages[event.key] * (span[1] - span[0]));
    else if (event.key === "Home") go(span[0]);
    else if (event.key === "End") toNow();
    else return;
    event.preventDefault();
  });

  /** Show a moment, in ms since 1970. */
  function go(ms) {
    if (!span) return;
    if (ms >= span[1]) toNow();
    else choose(textOf(Math.round(Math.max(span[0], ms))));
  }

  function choose(at) {
    chosen = at;
    place();
    say(label, instant(textOf(timeOf(at))));
    attribute(label, "title", exact(textOf(timeOf(at))));
    attribute(slider, "aria-valuetext", label.textContent);
    tell("");
    load();
    remember(at);
    for (const watcher of watchers) watcher(timeOf(at));
  }

  function toNow() {
    chosen = shown = null;
    clearTimeout(timer);
    place();
    say(label, "now");
    attribute(label, "title", null);
    attribute(slider, "aria-valuetext", "now");
    attribute(element, "aria-busy", null);
    tell("");
    remember(null);
    for (const watcher of watchers) watcher(null);
    moved(null);
  }

  /** The event before or after where it is. The next few are asked for at once, as who goes on goes on so. */
  async function step(by) {
    if (isStepping || !live || (chosen === null && by > 0)) return;
    isStepping = true;
    try {
      const from = chosen ?? live.position;
      if (ahead.by !== by || ahead.from !== from || !ahead.positions.length) {
        const after = isPosition(from) ? from : by > 0 ? `${timeOf(from)}-${LAST_IN_MS}` : `${timeOf(from) + 1}-0`;
        const found = await client.get(jobPath(job, "/events", { after, limit: EVENTS_AHEAD, sort: by > 0 ? null : "-position" }));
        ahead = { by, from, positions: found.events.map((event) => event.position) };
      }
      const next = ahead.positions.shift();
      ahead.from = next;
      if (isOver || (chosen ?? live.position) !== from) return;
      if (next) choose(next);
      else if (by > 0) toNow();
    } catch (error) {
      tell(error.message);
    } finally {
      isStepping = false;
    }
  }

  /** Ask for what is chosen; what is chosen meanwhile is asked for after that. */
  async function load() {
    if (isLoading || isOver) return;
    clearTimeout(timer);
    const at = chosen;
    isLoading = true;
    attribute(element, "aria-busy", "true");
    let found = null;
    let problem = null;
    try {
      found = await client.get(jobPath(job, "", { at }));
    } catch (error) {
      problem = error;
    }
    isLoading = false;
    if (isOver || chosen === null) return;
    if (at !== chosen) {
      load();
      return;
    }
    attribute(element, "aria-busy", null);
    if (problem) missed(problem);
    else {
      shown = { ...found, as_of: timeOf(at) };
      attribute(slider, "aria-valuetext", [label.textContent, Number.isFinite(found.percent) ? percent(found.percent) : null, found.status].filter(Boolean).join(", "));
      tell("");
      moved(shown);
    }
  }

  function missed(error) {
    const isPending = error.problem?.type?.endsWith(":past-pending");
    const isPassing = !error.status || error.status === 429 || error.status >= 500;
    if (error.status === 404) tell("It wasn't there yet.");
    else if (error.status === 410) tell("The beginning of its history isn't kept any more: what it was then can't be told.");
    else if (isPending) tell("Its history is long, and is being read…");
    else tell(isPassing ? "The gateway can't tell now; it is asked again." : error.message);
    if (isPassing) timer = setTimeout(load, error.retryAfter ?? AGAIN_MS);
  }

  function tell(text) {
    say(said, text);
    said.hidden = !text;
  }

  /** Where the thumb is; the end moves on while the job does. */
  function place() {
    if (!span) return;
    attribute(slider, "max", Math.max(1, span[1] - span[0]));
    slider.value = chosen === null ? slider.max : String(Math.min(span[1], timeOf(chosen)) - span[0]);
    back.hidden = chosen === null;
  }

  /** The moment stands in the address, so that it can be shared. */
  const remember = afterQuiet(ADDRESS_MS, (at) => {
    const [path, text = ""] = location.hash.slice(1).split("?");
    const parameters = new URLSearchParams(text);
    if (at) parameters.set("at", at);
    else parameters.delete("at");
    const rest = parameters.toString();
    history.replaceState(history.state, "", `#${path}${rest && `?${rest}`}`);
  });

  function show(_, newest) {
    live = newest;
    const begun = millis(live.created_at);
    const end = isFinal(live) ? millis(live.finished_at) : now();
    if (!Number.isFinite(begun)) return;
    span = [begun, Math.max(begun + 1, end)];
    element.hidden = false;
    if (chosen === null) attribute(slider, "aria-valuetext", "now");
    place();
    if (first && Number.isFinite(timeOf(first))) choose(first);
    first = null;
  }

  return {
    element,
    show,
    go,
    /** Have a function told which moment is shown, in ms since 1970, or null for now. */
    watch: (watcher) => watchers.push(watcher),
    close() {
      isOver = true;
      clearTimeout(timer);
      remember.cancel();
    },
  };
}
