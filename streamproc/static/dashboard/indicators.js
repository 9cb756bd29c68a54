/** Counters of a job: done of total. */

import { bar } from "./bar.js";
import { attribute, h, say } from "./dom.js";
import { number, short } from "./format.js";

export function indicators() {
  const list = h("ul", { class: "indicators" });
  const element = h("section", { hidden: true }, h("h2", {}, "Indicators"), list);
  const rows = new Map();
  function show(snapshot) {
    element.hidden = !snapshot.indicators?.length;
    const kept = new Set();
    for (const { label, done, total } of snapshot.indicators ?? []) {
      kept.add(label);
      if (!rows.has(label)) {
        const made = { progress: bar(), amount: h("span", { class: "amount" }), name: h("span", { class: "cut", dir: "auto", title: label }, label) };
        made.element = h("li", {}, made.name, made.progress.element, made.amount);
        rows.set(label, made);
        list.append(made.element);
      }
      const row = rows.get(label);
      row.progress.element.hidden = !(total > 0);
      row.progress.show(label, total > 0 ? (100 * done) / total : null, total > 0 && done >= total ? "finished" : "running");
      say(row.amount, total > 0 ? `${short(done)} of ${short(total)}` : short(done));
      attribute(row.amount, "title", `${number(done)} of ${number(total)}`);
    }
    for (const [label, row] of rows) if (!kept.has(label) && rows.delete(label)) row.element.remove();
  }
  return { element, show };
}
