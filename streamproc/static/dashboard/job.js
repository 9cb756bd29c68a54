/** A job: how it stands, live or as it was at any moment, and all that is known of it. */

import { connect } from "/static/client.js";
import { actions } from "./actions.js";
import { client, jobPath } from "./api.js";
import { attempts } from "./attempts.js";
import { report } from "./connection.js";
import { atNextFrame, h } from "./dom.js";
import { isFinal } from "./eta.js";
import { events } from "./events.js";
import { head } from "./head.js";
import { jobHistory } from "./history.js";
import { indicators } from "./indicators.js";
import { told } from "./outcome.js";
import { pastSlider } from "./past.js";
import { progressChart } from "./progress.js";
import { stages } from "./stages.js";
import { tabTitle } from "./standing.js";
import { failed, loading } from "./states.js";
import { typicalOf } from "./typical.js";
import { units } from "./units.js";

const LOOK_AGAIN_MS = 3_000;
/** A tab in the background lets go of its stream after a while; its title is still to tell how far the job is. */
const UNSEEN_MS = 60_000;

export function open(place, job, parameters) {
  const share = parameters.get("share");
  const asked = share ? connect(location.origin, { share }) : client;
  const history = jobHistory(job, asked);
  const typical = typicalOf(share ? null : asked, () => refresh());
  const parts = [];
  let page = null;
  let live = null;
  let past = null;
  let connection = { state: "connecting" };
  let looked = Date.now();
  place.append(loading("the job"));

  const refresh = atNextFrame(() => {
    if (!live || !place.isConnected) return;
    if (!page) build();
    page.classList.toggle("is-past", past !== null);
    history.follow(live);
    for (const part of parts) part.show(past ?? live, live, connection);
  });

  function build() {
    const slider = pastSlider(job, asked, (snapshot) => {
      past = snapshot;
      refresh();
    }, parameters.get("at"));
    const asking = { isMine: !share, sent: () => lookAgain(0) };
    parts.push(head(history, typical), actions(job, asked, history, asking), told("Result", "result"), slider, stages(history, typical), indicators(),
      progressChart(job, asked, slider), units(job, asked, history), attempts(job, asked), told("Details", "details"), events(history));
    page = h("article", { class: "job" }, ...parts.map((part) => part.element));
    place.replaceChildren(page);
    history.subscribe(refresh);
  }

  /** Take a snapshot, unless a newer one is here. */
  function show(snapshot) {
    if (!place.isConnected) return;
    if (!live || snapshot.updated_at >= live.updated_at) live = snapshot;
    document.title = tabTitle(live, connection.state === "stale");
    refresh();
  }

  const follow = () => asked.follow(job, (snapshot, status) => {
    report("job", status.state, status);
    connection = status;
    if (snapshot) show(snapshot);
    else if (!live && status.state === "gone" && (status.problem?.status ?? 404) === 404) {
      place.replaceChildren(failed({ status: 404, message: `There is no job ${job}, or not yet. It will be shown here as soon as it is there.` }));
    }
  });
  let following = follow();

  /** What has ended isn't followed any more, but it may be tried again; nor is what nobody sees, but its title is. */
  async function lookAgain(wait = document.hidden ? UNSEEN_MS : isFinal(live) ? LOOK_AGAIN_MS : Infinity) {
    if (!live || Date.now() - looked < wait) return;
    looked = Date.now();
    const snapshot = await asked.get(jobPath(job)).catch(() => null); // the next look will tell
    if (!snapshot || !place.isConnected) return;
    if (isFinal(live) && !isFinal(snapshot)) {
      following.close();
      following = follow();
    } else show(snapshot);
  }

  // A stream can't say why it is refused; a request can.
  asked.get(jobPath(job)).then(show, (error) => {
    if (!live && error.status && error.status < 500) place.replaceChildren(failed(error));
  });
  const ticking = setInterval(() => {
    refresh();
    lookAgain();
  }, 1_000);

  return {
    close() {
      following.close();
      clearInterval(ticking);
      refresh.cancel();
      history.close();
      for (const part of parts) part.close?.();
    },
  };
}
