/** Kinds of jobs: what is going on of each, how long they take, how often they fail, and how well that is foretold. */

import { client, pages, query } from "./api.js";
import { atNextFrame, attribute, h, say } from "./dom.js";
import { exact, instant, millis, number, share } from "./format.js";
import { insights } from "./insights.js";
import { poll } from "./poll.js";
import { sortedTable, text } from "./sorted.js";
import { empty, failed, loading } from "./states.js";
import { took } from "./took.js";
import { trend } from "./trend.js";

const REFRESH_MS = 5_000;
const MOST = 2_000;
const MANY = 12;
const NONE_YET = "A kind is here as soon as there is a job of it: a job names its kind when it is created or started.";
const MANY_FAIL = 0.05;
const SORT = "kind";

const workingOf = ({ active }) => active.started + active.running + active.paused;

export function open(place, _, parameters) {
  let kinds = [];
  let sort = parameters.get("sort") ?? SORT;
  const drawSoon = atNextFrame(draw);
  const latest = insights(client, drawSoon);
  const search = h("input", {
    type: "search", id: "find-kind", maxlength: "256", autocomplete: "off", placeholder: "Part of its name", value: parameters.get("q") ?? "",
    oninput() {
      remember();
      draw();
    },
  });
  const count = h("p", { class: "quiet", role: "status" });
  const narrowed = h("div", { class: "narrow" }, h("label", { class: "field", for: search.id }, h("span", {}, "Find a kind"), search), count);
  const table = sortedTable({
    label: "Kinds", columns: columns(latest), id: (kind) => kind.kind, sort,
    changed(wanted) {
      sort = wanted;
      remember();
    },
    row: (element, { kind }) => latest.watch(element, kind),
  });
  const found = h("div", {}, loading("kinds"));
  place.append(h("h1", {}, "Kinds"), h("p", { class: "lead" }, "What sorts of jobs there are, and how the latest 100 runs of each went."), found);

  function remember() {
    history.replaceState(history.state, "", `#/kinds${query({ q: search.value.trim(), sort: sort === SORT ? "" : sort })}`);
  }

  function draw() {
    if (!kinds.length) {
      found.replaceChildren(empty("No kinds yet", NONE_YET));
      return;
    }
    const wanted = search.value.trim().toLocaleLowerCase();
    const shown = wanted ? kinds.filter(({ kind }) => kind.toLocaleLowerCase().includes(wanted)) : kinds;
    narrowed.hidden = kinds.length <= MANY && !wanted;
    say(count, wanted ? `${number(shown.length)} of ${number(kinds.length)} kinds` : `${number(kinds.length)}${kinds.length >= MOST ? " kinds; there are more" : " kinds"}`);
    table.show(shown);
    if (!table.element.isConnected) found.replaceChildren(narrowed, table.element);
  }

  let next = 0;
  async function refresh() {
    if (Date.now() < next) return;
    const began = Date.now();
    const all = [];
    for await (const page of pages("/v1/kinds", { limit: 500 }, "kinds")) {
      all.push(...page);
      if (all.length >= MOST) break;
    }
    next = Date.now() + 10 * (Date.now() - began) - REFRESH_MS; // where it is a lot of work, it isn't asked for all the time
    kinds = all;
    latest.know(kinds);
    draw();
  }

  const polled = poll("kinds", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return {
    moved(changed) {
      search.value = changed.get("q") ?? "";
      sort = changed.get("sort") ?? SORT;
      table.sort = sort;
      draw();
    },
    close() {
      polled.close();
      latest.close();
      drawSoon.cancel();
    },
  };
}

/** @param latest what is told of each kind at length: of those in sight, as it is more work. */
function columns(latest) {
  const held = (item) => latest.of(item.kind)?.calibration.p90_held ?? null;
  const figure = (name, title, by, written, about) => ({ name, title, about, by, isLargestFirst: true, show: text((item) => written(by(item))) });
  return [
    { name: "kind", title: "Kind", class: "name", by: ({ kind }) => kind, show: link },
    figure("active", "Active", workingOf, number),
    figure("queued", "Queued", ({ active }) => active.queued, number),
    figure("typical", "Typical", ({ duration_seconds: usual }) => usual?.p50 ?? null, took, "A half of those that finished took at most this"),
    figure("p90", "p90", ({ duration_seconds: usual }) => usual?.p90 ?? null, took, "Nine in ten of those that finished took at most this"),
    { name: "trend", title: "Latest runs", class: "drawn", show: (cell, { kind }) => drawn(cell, latest.of(kind)) },
    { ...figure("failed", "Failed", ({ failure_rate: rate }) => rate, share, "Of those that finished or failed"), show: failures },
    { ...figure("held", "p90 held", held, share, "How often a job was over by when nine in ten should be: about 90 % is right"), isLargestFirst: false },
    { ...figure("ended", "Last ended", ({ last_ended_at: at }) => (at === null ? null : millis(at))), show: ended },
  ];
}

function link(cell, { kind }) {
  if (!cell.firstChild) cell.append(h("a", { href: `#/kinds/${encodeURIComponent(kind)}`, title: kind, dir: "auto" }, kind));
}

function drawn(cell, told) {
  if (!told || cell.shown === told) return;
  cell.shown = told;
  cell.replaceChildren(trend(told.latest) ?? "");
}

function failures(cell, { failure_rate: rate }) {
  say(cell, share(rate));
  cell.classList.toggle("wrong", rate >= MANY_FAIL);
}

function ended(cell, { last_ended_at: at }) {
  if (!cell.firstChild) cell.append(h("time", { dir: "auto" }));
  const [element] = cell.children;
  attribute(element, "datetime", at);
  attribute(element, "title", at && exact(at));
  say(element, instant(at));
}
