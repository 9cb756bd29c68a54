/** A link by which others may read one job, for as long as it holds. */

import { jobPath } from "./api.js";
import { dialog } from "./ask.js";
import { copyButton } from "./copy.js";
import { h, say } from "./dom.js";
import { instant } from "./format.js";

const HOURS = [[1, "an hour"], [24, "a day"], [7 * 24, "a week"], [30 * 24, "30 days"]];

/** The button that makes one. */
export function sharing(job, client) {
  const link = h("input", { type: "text", readonly: true, "aria-label": "Share link", onfocus: () => link.select() });
  const hours = h("select", { id: "share-hours", onchange: make }, ...HOURS.map(([value, name]) => h("option", { value, selected: value === 24 }, name)));
  const told = h("p", { class: "quiet", role: "status" });
  const copy = copyButton("Copy", () => link.value);
  const asking = dialog("Share this job", {
    no: "Close",
    fields: [h("label", { class: "field", for: "share-hours" }, h("span", {}, "It holds for"), hours), h("div", { class: "link" }, link, copy), told],
  });
  const element = h("button", { type: "button", onclick: open }, "Share link");

  function open() {
    asking.ask("Whoever has the link may read this job, and nothing else, without a key.");
    make();
  }

  async function make() {
    link.value = "";
    copy.disabled = true;
    say(told, "Making a link…");
    try {
      const made = await client.post(jobPath(job, "/share"), { expires_in: 3_600 * Number(hours.value) });
      link.value = `${location.origin}/#/jobs/${encodeURIComponent(job)}?share=${encodeURIComponent(made.share)}`;
      copy.disabled = false;
      say(told, `It holds until ${instant(made.expires_at)}. It can't be taken back before.`);
    } catch (error) {
      say(told, error.status === 403 ? `Your key may not make links: ${error.message}` : error.message);
    }
  }
  return { element, close: asking.remove };
}
