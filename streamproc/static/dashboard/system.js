/** The system: its server, its partitions with owner, lag and rate, and what could not be folded. */

import { client } from "./api.js";
import { attribute, h } from "./dom.js";
import { now, number, time } from "./format.js";
import { poll } from "./poll.js";
import { failed, loading } from "./states.js";
import { figures, table } from "./table.js";

const REFRESH_MS = 3_000;
const MOST_LETTERS = 200;

export function open(place) {
  const found = h("div", { class: "stack" }, loading("the system"));
  const stands = h("section", {}, h("h2", {}, "Server"));
  const parts = h("div", {});
  const letters = h("div", { class: "stack" });
  let before = null;
  let told = -1;
  place.append(h("h1", {}, "System"), h("p", { class: "lead" }, "Where events are kept, who folds them, and what could not be folded."), found);

  async function refresh() {
    const { server, partitions } = await client.get("/v1/system");
    const at = now();
    const rates = partitions.map(({ partition, events }) => before && Math.max(0, (events - before.events.get(partition)) / ((at - before.at) / 1000)));
    before = { at, events: new Map(partitions.map(({ partition, events }) => [partition, events])) };
    const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);
    const dead = sum(partitions.map((each) => each.dead_letters));
    const owned = partitions.filter((each) => each.owner).length;
    stands.replaceChildren(h("h2", {}, "Server"), figures([
      ["Server", `${server.kind} ${server.version}`], ["Kept on disk", server.aof ? `yes, ${server.fsync ?? "as it is set"}` : "no"],
      ["Evicts", server.eviction ?? "not told"], ["Events in the log", number(sum(partitions.map((each) => each.events)))],
      ["Events a second", rates[0] === null ? "measuring…" : number(Math.round(sum(rates) * 10) / 10)], ["Not folded yet", number(sum(partitions.map((each) => each.lag)))],
      ["Partitions owned", `${number(owned)} of ${number(partitions.length)}`], ["Dead letters", number(dead)],
    ]));
    if (!stands.isConnected) found.replaceChildren(stands, parts, letters);
    showPartitions(parts, partitions, rates);
    if (dead !== told) {
      told = dead;
      await showLetters(letters, partitions.filter((each) => each.dead_letters));
    }
  }

  const polled = poll("system", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return { close: polled.close };
}

function showPartitions(place, partitions, rates) {
  const scrolled = place.firstChild?.scrollLeft ?? 0;
  const isFocused = place.contains(document.activeElement);
  place.replaceChildren(table("Partitions", ["Partition", "Owner", "Events", "Events a second", "Not folded yet", "Dead letters"],
    partitions.map((each, at) => [
      number(each.partition), each.owner ?? h("span", { class: "wrong" }, "nobody"), number(each.events), rates[at] === null ? "…" : number(Math.round(rates[at] * 10) / 10),
      number(each.lag), each.dead_letters ? h("b", { class: "wrong" }, number(each.dead_letters)) : number(0),
    ])));
  place.firstChild.scrollLeft = scrolled;
  if (isFocused) place.firstChild.focus();
}

async function showLetters(place, partitions) {
  const found = [];
  for (const { partition } of partitions) {
    for (let after = null; found.length < MOST_LETTERS; ) {
      const page = await client.get(`/v1/dead?partition=${partition}&limit=100${after ? `&after=${after}` : ""}`);
      found.push(...page.dead_letters.map((letter) => ({ partition, ...letter })));
      if (!page.next) break;
      after = page.next;
    }
  }
  place.replaceChildren(h("section", {}, h("h2", {}, "Dead letters"),
    h("p", { class: "quiet" }, found.length ? `What of the log could not be folded, and why${found.length >= MOST_LETTERS ? `; the first ${number(MOST_LETTERS)}` : ""}. The rest of the log isn't held up by it.` : "None: all of the log could be folded."),
    ...found.map(letterOf)));
}

function letterOf({ partition, position, time: at, reason, entry }) {
  const element = h("details", {}, h("summary", {}, h("span", { dir: "auto" }, reason), " ", h("small", {}, `partition ${number(partition)} at ${position}, `, time(at))),
    h("pre", { tabindex: "0", dir: "auto" }, entry.map(([name, value]) => `${name} ${value}`).join("\n")));
  attribute(element.lastChild, "aria-label", `The entry at ${position}`);
  return element;
}
