/** How often the estimates of a kind held, beside how often they should. */

import { h } from "./dom.js";
import { number, share } from "./format.js";

const FEWEST = 50;
const LEAST_OF_P90 = 0.8;

/** The section; `calibration` as the gateway tells it. */
export function held({ predictions, p50_held: p50, p90_held: p90 }) {
  const about = "Each run that finished is estimated at the tenths of its way by what the runs before it had taught. A p90 is meant to hold nine times in ten.";
  if (!predictions) return section(h("p", { class: "quiet" }, about), h("p", {}, "Nothing could be foretold yet: it takes two runs that finished."));
  const isKnown = predictions >= FEWEST;
  const isOff = isKnown && p90 < LEAST_OF_P90;
  return section(h("p", { class: "quiet" }, about), measure("p90", p90, 0.9, isOff), measure("p50", p50, 0.5, false),
    h("p", { class: "quiet" }, `Of ${number(predictions)} predictions${isKnown ? "" : ", which is too few to judge by"}.`),
    isOff && h("p", { class: "warning" }, `p90 held in only ${share(p90)} of them: jobs of this kind end later than their pages say. `,
      "Stages with weights, and totals of what there is to do, make estimates better."));
}

const section = (...children) => h("section", { class: "held" }, h("h2", {}, "How well estimates held"), ...children);

function measure(name, value, wanted, isOff) {
  const bar = h("span", { class: "share-bar", "aria-hidden": "true" }, h("i", { class: isOff ? "off" : null }), h("b"));
  bar.firstChild.style.width = `${100 * value}%`;
  bar.lastChild.style.left = `${100 * wanted}%`;
  return h("p", { class: "measured" }, h("span", {}, `${name} held`), bar, h("span", {}, share(value), " ", h("small", {}, `should be about ${share(wanted)}`)));
}
