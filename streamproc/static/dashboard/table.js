/** Tables that are as wide as they need be, and scroll where that is too wide. */

import { h } from "./dom.js";

/** A table. `columns` are names, the first of each row's cells being its head; cells are texts or nodes. */
export function table(label, columns, rows) {
  return h("div", { class: "wide", role: "region", "aria-label": label, tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", { dir: "auto", title: typeof cell === "string" ? cell : null }, cell)))))));
}

/** Figures with their names: `[[name, value], …]`. */
export const figures = (found) => h("dl", { class: "figures" }, ...found.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value))));
