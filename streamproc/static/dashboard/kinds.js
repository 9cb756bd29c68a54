/** Kinds of jobs: what is going on of each, how long they take, and how often they fail. */

import { pages } from "./api.js";
import { h } from "./dom.js";
import { duration, number, percent, share, time } from "./format.js";
import { poll } from "./poll.js";
import { empty, failed, loading } from "./states.js";
import { table } from "./table.js";

const REFRESH_MS = 5_000;
const MOST = 2_000;

export function open(place) {
  const found = h("div", {}, loading("kinds"));
  place.append(h("h1", {}, "Kinds"), h("p", { class: "lead" }, "What sorts of jobs there are, and how their latest runs went."), found);
  let last = "";

  async function refresh() {
    const kinds = [];
    for await (const page of pages("/v1/kinds", { limit: 500 }, "kinds")) {
      kinds.push(...page);
      if (kinds.length >= MOST) break;
    }
    const key = JSON.stringify(kinds);
    if (key === last) return;
    last = key;
    found.replaceChildren(kinds.length ? overview(kinds) : empty("No kinds yet", "A kind is here as soon as there is a job of it, or a run of one has ended."));
  }

  const polled = poll("kinds", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return { close: polled.close };
}

const overview = (kinds) => table("Kinds", ["Kind", "Active", "Queued", "On average", "Takes (p50)", "At most (p90)", "Failed", "Last ended"],
  kinds.map(({ kind, active, average_percent, duration_seconds, failure_rate, last_ended_at }) => [
    h("a", { href: `#/kinds/${encodeURIComponent(kind)}`, title: kind }, kind),
    number(active.started + active.running + active.paused), number(active.queued), percent(average_percent),
    duration(duration_seconds?.p50), duration(duration_seconds?.p90), share(failure_rate), time(last_ended_at),
  ]));
