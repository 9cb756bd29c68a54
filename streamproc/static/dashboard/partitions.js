/** Partitions: who folds which, and how each stands. */

import { h, say } from "./dom.js";
import { number } from "./format.js";
import { inShort } from "./rates.js";
import { sortedTable, text } from "./sorted.js";
import { took } from "./took.js";

const NOBODY = "nobody";

const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);
const rateOf = (rate) => (rate === null ? "…" : number(inShort(rate)));

/** A projector's name as people read it: its host and its process; on hover there is all of it. */
function shortName(projector) {
  const parts = projector.split("/");
  return parts.length === 3 ? `${parts[0]} · process ${parts[1]}` : projector;
}

function named(cell, projector) {
  say(cell, projector ? shortName(projector) : NOBODY);
  cell.title = projector ?? "Nobody folds these: start a projector";
  cell.classList.toggle("wrong", !projector);
}

/** Rising numbers as runs of them: 0–3, 7. */
function runsOf(numbers) {
  const found = [];
  for (const each of numbers) {
    if (found.length && found.at(-1).at(-1) === each - 1) found.at(-1)[1] = each;
    else found.push([each]);
  }
  return found.map((run) => run.join("–")).join(", ");
}

/** A column of figures: what they are by, and how they are written. */
const figure = (name, title, by, written, about) => ({ name, title, about, by, isLargestFirst: true, show: text((item) => written(by(item))) });

/** Who folds: `show(partitions)`, each with its `rate`. */
export function ownersTable() {
  const longest = ({ all }) => Math.max(...all.map((each) => each.behind_seconds ?? 0));
  const rate = ({ all }) => (all.some((each) => each.rate !== null) ? sum(all.map((each) => each.rate)) : null);
  const table = sortedTable({
    label: "Projectors", id: (owner) => owner.projector ?? "", sort: "projector", changed() {},
    columns: [
      { name: "projector", title: "Projector", class: "name", by: ({ projector }) => projector ?? "", show: (cell, owner) => named(cell, owner.projector) },
      figure("count", "Partitions", ({ all }) => all.length, number),
      { name: "which", title: "Which", show: which },
      figure("rate", "Events a second", rate, rateOf),
      figure("lag", "Not folded yet", ({ all }) => sum(all.map((each) => each.lag)), number),
      figure("behind", "Behind by", longest, took),
    ],
  });
  return {
    element: table.element,
    show(partitions) {
      table.show([...Map.groupBy(partitions, (each) => each.projector)].map(([projector, all]) => ({ projector, all })));
    },
  };
}

function which(cell, { all }) {
  say(cell, runsOf(all.map((each) => each.partition)));
  cell.title = cell.textContent;
}

/** All of them: as a map, in which one sees where something is wrong, and as a table. */
export function partitionsTable() {
  const map = h("ul", { class: "map", "aria-hidden": "true" });
  const table = sortedTable({
    label: "Partitions", id: (each) => String(each.partition), sort: "partition", changed() {},
    columns: [
      { name: "partition", title: "Partition", class: "name", by: (each) => each.partition, show: text((each) => number(each.partition)) },
      { name: "owner", title: "Owner", by: (each) => each.projector ?? "", show: (cell, each) => named(cell, each.projector) },
      figure("epoch", "Fence", (each) => each.epoch, number, "How often the partition has changed hands: only its latest owner can write"),
      figure("events", "Events", (each) => each.events, number),
      figure("rate", "A second", (each) => each.rate, rateOf),
      figure("lag", "Not folded yet", (each) => each.lag, number),
      figure("behind", "Behind by", (each) => each.behind_seconds, took),
      { ...figure("dead", "Dead letters", (each) => each.dead_letters, number), show: dead },
    ],
  });
  table.element.classList.add("tall");

  function showMap(partitions) {
    while (map.children.length > partitions.length) map.lastChild.remove();
    while (map.children.length < partitions.length) map.append(h("li"));
    partitions.forEach((each, at) => {
      const cell = map.children[at];
      const wrong = !each.projector ? "unowned" : each.lag ? "behind" : each.dead_letters ? "dead" : "";
      say(cell, String(each.partition));
      if (cell.className !== wrong) cell.className = wrong;
      cell.title = [
        `Partition ${each.partition}`, each.projector ? null : "nobody folds it", each.lag ? `${number(each.lag)} not folded yet` : null,
        each.dead_letters ? `${number(each.dead_letters)} dead letters` : null,
      ].filter(Boolean).join(": ");
    });
  }

  return {
    element: h("div", { class: "titled" }, map, legend(), table.element),
    show(partitions) {
      showMap(partitions);
      table.show(partitions);
    },
  };
}

const legend = () => h("p", { class: "quiet legend", "aria-hidden": "true" },
  h("span", { class: "unowned" }, "nobody folds it"), h("span", { class: "behind" }, "events wait"), h("span", { class: "dead" }, "dead letters"));

function dead(cell, each) {
  say(cell, number(each.dead_letters));
  cell.classList.toggle("wrong", each.dead_letters > 0);
}
