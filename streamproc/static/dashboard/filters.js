/** The filters of the list: one of the statuses with their counts, a search, and what else jobs can be found by. */

import { afterQuiet, attribute, h, say } from "./dom.js";
import { number, short } from "./format.js";

const STATUSES = ["queued", "started", "running", "paused", "finished", "failed", "canceled"];
const ACTIVE = STATUSES.slice(0, 4);
const ORDERS = [["", "Newest first"], ["created", "Oldest first"], ["-started", "Latest started"], ["-finished", "Latest ended"]];

/**
 * The bar. `change(some)` is told what somebody wants otherwise: by name, a list of texts. `known(name)` gives what is
 * offered while somebody types. `set(filters)` shows which there are, `count(counts, stalled)` how many jobs each
 * status has, and how many are stalled; null where nobody knows.
 */
export function filterBar(change, known) {
  const chips = [["all", ""], ["active", ACTIVE.join()], ...STATUSES.map((status) => [status, status]), ["stalled", "stalled"]].map(([name, status]) => {
    const count = h("span", { class: "count" });
    const press = () => change(status === "stalled" ? { stalled: ["true"], status: [] } : { status: status ? [status] : [], stalled: [] });
    const button = h("button", { type: "button", class: "chip", onclick: press }, name, count);
    return { name, status, button, count };
  });
  const quiet = afterQuiet(200, () => change({ q: [search.value.trim()].filter(Boolean) }));
  const search = h("input", { type: "search", id: "q", placeholder: "Title or id", maxlength: "256", autocomplete: "off", oninput: quiet, "aria-keyshortcuts": "/" });
  const sort = h("select", { id: "sort", onchange: () => change({ sort: [sort.value].filter(Boolean) }) }, ...ORDERS.map(([value, text]) => h("option", { value }, text)));
  const texts = [input("kind", "Any kind", 256), input("label", "name:value", 513), input("worker", "Any worker", 256), input("owner", "Any owner", 256)];
  const field = (text, control, ...more) => h("label", { class: "field", for: control.id }, h("span", {}, text), control, ...more);
  const further = h("div", { class: "further", id: "further" },
    ...texts.map(({ name, control, offered }) => field(name[0].toUpperCase() + name.slice(1), control, offered)), field("Order", sort));
  const unfold = h("button", { type: "button", class: "unfold", "aria-controls": "further", "aria-expanded": "false", onclick: fold }, "Filters");
  const element = h("div", { class: "filters", role: "search" },
    h("div", { class: "chips", role: "group", "aria-label": "Status" }, ...chips.map((chip) => chip.button)),
    h("div", { class: "fields" }, field("Search", search), unfold, further));

  /** A field, that offers what it has seen. */
  function input(name, placeholder, maxlength) {
    const offered = h("datalist", { id: `${name}-offered` });
    const offer = () => offered.replaceChildren(...known(name).map((value) => h("option", { value })));
    const control = h("input", { type: "search", id: name, placeholder, maxlength, autocomplete: "off", list: offered.id, onfocus: offer,
      onchange: () => change({ [name]: [control.value.trim()].filter(Boolean) }) });
    return { name, control, offered };
  }

  function fold() {
    const isOpen = element.classList.toggle("unfolded");
    attribute(unfold, "aria-expanded", isOpen);
  }

  return {
    element,
    search,
    set(filters) {
      const chosen = filters.stalled[0] === "true" ? "stalled" : filters.status.join();
      for (const chip of chips) attribute(chip.button, "aria-pressed", chip.status === chosen);
      for (const { name, control } of [...texts, { name: "q", control: search }]) if (document.activeElement !== control) control.value = filters[name][0] ?? "";
      sort.value = filters.sort[0] ?? "";
      const set = [...texts.map(({ name }) => name), "sort"].filter((name) => filters[name].length).length;
      say(unfold, set ? `Filters (${set})` : "Filters");
    },
    count(counts, stalled) {
      const sum = (statuses) => counts && statuses.reduce((all, status) => all + counts[status], 0);
      for (const { name, status, button, count } of chips) {
        const value = { all: sum(STATUSES), active: sum(ACTIVE), stalled }[name] ?? counts?.[status];
        say(count, Number.isFinite(value) ? short(value) : "");
        button.title = Number.isFinite(value) ? number(value) : "";
      }
    },
    close: quiet.cancel,
  };
}
