/** How many jobs somebody should look at, beside the link to them: on every page, so that one sees it. */

import { client } from "./api.js";
import { attribute, h, say } from "./dom.js";
import { short } from "./format.js";

const AGAIN_MS = 15_000;

/** Keep the number beside a link. It is asked for while the page is seen, and is nobody's business where it can't be told. */
export function attend(link) {
  const count = h("span", { class: "alarm", hidden: true });
  link.append(count);
  let timer = 0;

  async function ask() {
    clearTimeout(timer);
    if (document.hidden) return;
    const found = await client.get("/v1/slow?limit=1").catch((error) => ({ isOver: error.status === 401 || error.status === 403 }));
    if (found.isOver) return; // the page itself says who may see it
    if ("slow" in found) show((found.slow ?? 0) + (found.stalled ?? 0));
    timer = setTimeout(ask, AGAIN_MS);
  }

  function show(all) {
    count.hidden = all === 0;
    say(count, short(all));
    attribute(count, "title", `${all} that somebody should look at`);
  }

  document.addEventListener("visibilitychange", ask);
  ask();
}
