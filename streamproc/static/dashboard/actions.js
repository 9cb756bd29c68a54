/** What may be asked of a job: to pause, to go on, to stop, to be tried again; and a link to it for others. */

import { jobPath } from "./api.js";
import { h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { instant } from "./format.js";

const ACTIVE = ["queued", "started", "running"];
const ACTIONS = {
  pause: ({ status, requested }) => (ACTIVE.includes(status) && requested !== "pause" && requested !== "cancel") || (status === "paused" && requested === "resume"),
  resume: ({ status, requested }) => requested !== "cancel" && ((status === "paused" && requested !== "resume") || (ACTIVE.includes(status) && requested === "pause")),
  cancel: (snapshot) => !isFinal(snapshot) && snapshot.requested !== "cancel",
  retry: ({ status }) => status === "failed" || status === "canceled",
};
const ASKED = { pause: "Asked to pause.", resume: "Asked to go on.", cancel: "Asked to stop." };

/** The buttons of a job. Whoever holds a share link has none: it only reads. */
export function actions(job, client, isMine) {
  const told = h("p", { class: "quiet", role: "status" });
  const buttons = Object.keys(ACTIONS).map((name) => ({ name, element: h("button", { type: "button", onclick: () => ask(name) }, name[0].toUpperCase() + name.slice(1)) }));
  const link = h("input", { type: "text", readonly: true, "aria-label": "Share link", hidden: true, onfocus: () => link.select() });
  const share = h("button", { type: "button", onclick: makeLink }, "Share link");
  const element = h("div", { class: "actions" }, ...(isMine ? [...buttons.map((button) => button.element), share, link] : []), told);
  let isBusy = false;
  let wish = null;

  async function ask(name) {
    if (name === "cancel" && !confirm("Ask this job to stop?")) return;
    isBusy = true;
    say(told, "");
    try {
      await client.post(jobPath(job, `/${name}`), {});
    } catch (error) {
      say(told, error.message);
    }
    isBusy = false;
  }

  async function makeLink() {
    try {
      const made = await client.post(jobPath(job, "/share"), {});
      link.hidden = false;
      link.value = `${location.origin}/#/jobs/${encodeURIComponent(job)}?share=${encodeURIComponent(made.share)}`;
      link.focus();
      say(told, `Whoever has it may read this job until ${instant(made.expires_at)}.`);
    } catch (error) {
      say(told, error.message);
    }
  }

  function show(snapshot, live) {
    for (const { name, element } of buttons) {
      element.hidden = !ACTIONS[name](live);
      element.disabled = isBusy || snapshot !== live;
    }
    if (live.requested !== wish) say(told, ASKED[live.requested] ?? "");
    wish = live.requested;
  }
  return { element, show };
}
