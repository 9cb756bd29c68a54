/** What may be asked of a job: to pause, to go on, to stop, to be tried again; and what became of it. */

import { jobPath } from "./api.js";
import { dialog } from "./ask.js";
import { h, say } from "./dom.js";
import { isFinal } from "./eta.js";
import { sharing } from "./sharing.js";
import { ago } from "./standing.js";

const IN_QUEUE = "Nobody works on it yet, so it is canceled at once.";
const AT_WORK = "Its worker stops where it can, and what was done so far may be lost. It can't be taken back.";
const FINISHED = "It has finished. It is queued as its next attempt: its progress starts again, and its result is replaced.";
const REFUSED_MS = 15_000;
const ACTIVE = ["queued", "started", "running"];
/** When each makes sense: the gateway's own table. */
const ACTIONS = {
  pause: ({ status, requested }) => requested !== "cancel" && (status === "paused" ? requested === "resume" : ACTIVE.includes(status) && requested !== "pause"),
  resume: ({ status, requested }) => requested !== "cancel" && (status === "paused" ? requested !== "resume" : ACTIVE.includes(status) && requested === "pause"),
  cancel: (snapshot) => !isFinal(snapshot) && snapshot.requested !== "cancel",
  retry: ({ status }) => isFinal({ status }),
};
const NAMES = { pause: "Pause", resume: "Resume", cancel: "Cancel", retry: "Retry" };
const ASKED = { pause: "Asked to pause", resume: "Asked to go on", cancel: "Asked to stop" };

/** A wish that the worker hasn't answered: of whom, and why, where the events that are here tell. */
function wish(requested, { by, reason } = {}) {
  return `${ASKED[requested]}${by ? ` by ${by}` : ""}${reason ? `: “${reason}”` : ""}.`;
}

/**
 * The buttons of a job. Whoever holds a share link, and so isn't at home here (`isMine`), has none: it only reads.
 * `sent` is called when something was asked.
 */
export function actions(job, client, history, { isMine, sent: wasSent }) {
  const told = h("p", { class: "quiet", role: "status", dir: "auto" });
  const since = h("span", { class: "quiet" }); // beside what is read out, as it changes every second
  const reason = h("input", { type: "text", maxlength: "1000", id: "reason", autocomplete: "off", dir: "auto" });
  const canceling = dialog("Ask this job to stop?", {
    yes: "Ask it to stop", no: "Let it go on",
    fields: [h("label", { class: "field", for: "reason" }, h("span", {}, "Why (optional; others can read it)"), reason)],
  });
  const repeating = dialog("Run this job again?", { yes: "Run it again", no: "Leave it" });
  const buttons = Object.keys(ACTIONS).map((name) => ({ name, element: h("button", { type: "button", onclick: () => press(name) }, NAMES[name]) }));
  const share = sharing(job, client);
  const offered = isMine ? [...buttons.map((button) => button.element), share.element] : [h("p", { class: "quiet" }, "Shared with you, to read.")];
  const element = h("div", { class: "actions" }, ...offered, told, since);
  let latest = null;
  let sent = null;
  let refused = "";
  let refusedUntil = 0;
  let isDenied = false;
  let isNow = true;

  async function press(name) {
    const isRepeated = name === "retry" && latest.status === "finished";
    if (name === "cancel" && !(await canceling.ask(latest.status === "queued" ? IN_QUEUE : AT_WORK))) return;
    if (isRepeated && !(await repeating.ask(FINISHED))) return;
    const why = name === "cancel" ? reason.value.trim() : "";
    sent = name;
    refused = "";
    draw();
    try {
      await client.post(jobPath(job, `/${name}`), { ...(why && { reason: why }), ...(isRepeated && { force: true }) });
      reason.value = "";
      wasSent();
    } catch (error) {
      isDenied = error.status === 403;
      refusedUntil = Date.now() + REFUSED_MS;
      refused = isDenied ? `Your key may not do this: ${error.message}` : `It was not asked to: ${error.message}`;
    }
    sent = null;
    draw();
  }

  function draw() {
    for (const { name, element: button } of buttons) {
      button.hidden = !ACTIONS[name](latest) && sent !== name;
      button.disabled = sent !== null || isDenied || !isNow;
      button.title = isDenied ? refused : isNow ? "" : "You are looking at the past";
      button.setAttribute("aria-busy", String(sent === name));
      if (name === "retry") say(button, latest.status === "finished" ? "Run again" : NAMES.retry);
    }
    const asked = latest.requested && history.entries.find(({ event, mark }) => !mark && event.type === `job.${latest.requested}_requested`);
    say(told, refused || (latest.requested ? wish(latest.requested, asked?.event) : ""));
    say(since, latest.requested && !refused ? `${asked ? `${ago(asked.time)}; the` : "The"} worker hasn't answered yet` : "");
  }

  return {
    element,
    show(snapshot, live) {
      if (!isDenied && Date.now() > refusedUntil) refused = "";
      latest = live;
      isNow = snapshot === live;
      draw();
    },
    close() {
      for (const each of [canceling, repeating]) each.remove();
      share.close();
    },
  };
}
