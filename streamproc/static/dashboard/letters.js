/** Dead letters: what of the log could not be folded, the newest first, each with its reason and as it was. */

import { client, query } from "./api.js";
import { copyButton } from "./copy.js";
import { h, say } from "./dom.js";
import { number, time } from "./format.js";

const PAGE = 20;
const JOB = /^[A-Za-z0-9._:@-]{1,200}$/;

/** The section. `refresh(count)` shows those that came since, where there are others than there were. */
export function letters() {
  const count = h("span", { class: "count-of" });
  const about = h("p", { class: "quiet" });
  const list = h("div", { class: "letters" });
  const older = h("button", { type: "button", hidden: true, onclick: more }, "Older ones");
  const element = h("section", {}, h("h2", {}, "Dead letters ", count), about, list, h("p", { role: "status", class: "quiet" }), older);
  const note = element.querySelector("[role=status]");
  let shown = new Set();
  let told = null;
  let next = null;

  async function refresh(dead) {
    if (dead === told) return;
    const page = await client.get(`/v1/dead${query({ limit: PAGE })}`);
    told = dead;
    const fresh = page.dead_letters.filter((letter) => !shown.has(nameOf(letter)));
    if (fresh.length === page.dead_letters.length) { // nothing of it is known: there may be more between
      shown = new Set();
      list.replaceChildren();
      next = page.next;
    }
    list.prepend(...fresh.map(add));
    draw();
  }

  async function more() {
    older.disabled = true;
    say(note, "");
    try {
      const page = await client.get(`/v1/dead${query({ limit: PAGE, cursor: next })}`);
      next = page.next;
      list.append(...page.dead_letters.filter((letter) => !shown.has(nameOf(letter))).map(add));
      draw();
    } catch (error) {
      say(note, `These can't be had now: ${error.message}`);
    } finally {
      older.disabled = false;
    }
  }

  function add(letter) {
    shown.add(nameOf(letter));
    return letterOf(letter);
  }

  function draw() {
    say(count, told ? number(told) : "");
    say(about, told
      ? "What of the log could not be folded, and why; the rest of the log isn't held up by it. Each is kept as it was, so that whoever wrote it can mend what writes it."
      : "None: all of the log could be folded.");
    older.hidden = !next;
  }

  return { element, refresh };
}

const nameOf = ({ partition, position }) => `${partition}@${position}`;

function letterOf({ partition, position, time: at, reason, entry }) {
  const raw = entry.map(([name, value]) => (entry.length === 1 && name === "e" ? value : `${name} ${value}`)).join("\n");
  const job = jobOf(entry);
  return h("details", {}, h("summary", {}, h("span", { dir: "auto", class: "reason" }, reason), " ", h("small", {}, `partition ${number(partition)} at ${position} · `, time(at))),
    h("pre", { tabindex: "0", dir: "auto", role: "group", "aria-label": `The entry at ${position}` }, raw || "(nothing)"),
    h("p", { class: "links" }, copyButton("Copy the entry", () => raw), job && h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, "Job ", h("bdi", {}, job))));
}

/** The job that an entry names, where it can be told. */
function jobOf(entry) {
  try {
    const { job } = JSON.parse(Object.fromEntries(entry).e);
    return typeof job === "string" && JOB.test(job) ? job : null;
  } catch {
    return null; // it is no JSON, which may be why it is here
  }
}
