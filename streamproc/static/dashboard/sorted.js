/** Tables that are sorted by a column, whose rows stay as they are while their cells change. */

import { attribute, h, say } from "./dom.js";

/**
 * A table of items. `show(items)` shows them; `sort` is by what it is sorted, the name of a column, with a `-` before it
 * where the largest comes first.
 *
 * @param columns `{name, title, about, by(item), show(cell, item), isLargestFirst}`: `by` gives a number or a text, or null for what isn't
 *   known, which comes last whichever way; without it the table can't be sorted by the column
 * @param id which item it is
 * @param sort by what it is sorted at first
 * @param changed is told when somebody sorts it otherwise
 * @param row is told of each row that comes
 */
export function sortedTable({ label, columns, id, sort, changed, row = () => {} }) {
  const rows = new Map();
  let items = [];
  const heads = columns.map((column) => h("th", { scope: "col", class: column.class, title: column.about },
    column.by ? h("button", { type: "button", class: "sort", onclick: () => turn(column) }, column.title) : column.title));
  const body = h("tbody");
  const element = h("div", { class: "wide", role: "region", "aria-label": label, tabindex: "0" },
    h("table", { class: "sorted" }, h("thead", {}, h("tr", {}, ...heads)), body));

  function turn(column) {
    const isChosen = sort.replace("-", "") === column.name;
    const isLargestFirst = isChosen ? !sort.startsWith("-") : Boolean(column.isLargestFirst);
    sort = `${isLargestFirst ? "-" : ""}${column.name}`;
    changed(sort);
    draw();
  }

  function draw() {
    const chosen = columns.find((column) => column.name === sort.replace("-", "")) ?? columns[0];
    const sign = sort.startsWith("-") ? -1 : 1;
    columns.forEach((column, at) => attribute(heads[at], "aria-sort", column.by ? (column !== chosen ? "none" : sign < 0 ? "descending" : "ascending") : null));
    const inOrder = items.map((item) => [chosen.by(item), item]).sort(([one, a], [other, b]) => compare(one, other, sign) || compare(id(a), id(b), 1));
    const known = new Set();
    let place = body.firstChild;
    for (const [, item] of inOrder) {
      const name = id(item);
      known.add(name);
      const found = rows.get(name) ?? add(name, item);
      found.cells.forEach((cell, at) => columns[at].show(cell, item));
      if (found.element === place) place = place.nextSibling;
      else body.insertBefore(found.element, place);
    }
    for (const [name, found] of rows) if (!known.has(name) && rows.delete(name)) found.element.remove();
  }

  function add(name, item) {
    const cells = columns.map((column, at) => h(at ? "td" : "th", { scope: at ? null : "row", class: column.class }));
    const found = { element: h("tr", {}, ...cells), cells };
    rows.set(name, found);
    row(found.element, item);
    return found;
  }

  return {
    element,
    show(all) {
      items = all;
      draw();
    },
    /** The row of an item, by which it is. */
    row: (name) => rows.get(name)?.element,
    set sort(wanted) {
      sort = wanted;
      draw();
    },
  };
}

function compare(one, other, sign) {
  const isNone = (value) => value === null || value === undefined || Number.isNaN(value);
  if (isNone(one) || isNone(other)) return isNone(one) - isNone(other);
  if (typeof one === "string") return sign * one.localeCompare(other);
  return sign * (one - other);
}

/** A cell that is a text of its item. */
export const text = (of) => (cell, item) => say(cell, of(item));
