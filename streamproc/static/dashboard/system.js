/** The system: its server, who folds which partitions, how far behind and how fast, and what could not be folded. */

import { client } from "./api.js";
import { h, say } from "./dom.js";
import { about, flow } from "./flow.js";
import { NONE, now, number } from "./format.js";
import { letters } from "./letters.js";
import { ownersTable, partitionsTable } from "./partitions.js";
import { poll } from "./poll.js";
import { inShort, measured, take } from "./rates.js";
import { failed, loading } from "./states.js";
import { figures } from "./table.js";
import { took } from "./took.js";

const REFRESH_MS = 3_000;
const MIB = 1024 * 1024;

const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);

export function open(place) {
  const found = h("div", {}, loading("the system"));
  const wrong = h("ul", { class: "findings" });
  const stands = h("div");
  const drawing = h("div", { class: "plots" });
  const words = h("p", { class: "quiet" });
  const owners = ownersTable();
  const partitions = partitionsTable();
  const dead = letters();
  const titled = (title, ...children) => h("div", { class: "titled" }, h("h2", {}, title), ...children);
  const all = h("div", { class: "stack" }, wrong, h("section", {}, h("h2", {}, "Server"), stands),
    h("section", {}, h("h2", {}, "Events a second"), drawing, words), titled("Projectors", owners.element), titled("Partitions", partitions.element), dead.element);
  place.append(h("h1", {}, "System"), h("p", { class: "lead" }, "Where events are kept, who folds them, and what could not be folded."), found);

  async function refresh() {
    const told = await client.get("/v1/system");
    const rates = take(told.partitions, now());
    const each = told.partitions.map((one) => ({ ...one, rate: rates.get(one.partition) }));
    const count = sum(each.map((one) => one.dead_letters));
    if (!all.isConnected) found.replaceChildren(all);
    showFindings(wrong, told.findings);
    stands.replaceChildren(serverFigures(told.server, each, count));
    owners.show(each);
    partitions.show(each);
    draw();
    await dead.refresh(count);
  }

  function draw() {
    const width = Math.round(drawing.clientWidth);
    const samples = measured();
    if (!samples.length) say(words, "Measuring…");
    if (!samples.length || !width) return;
    drawing.replaceChildren(flow(samples, width));
    say(words, `${about(samples)}. Measured since this page was opened first.`);
  }

  const resized = new ResizeObserver(draw);
  resized.observe(drawing);
  const polled = poll("system", REFRESH_MS, refresh, (error) => found.replaceChildren(failed(error)));
  return {
    close() {
      polled.close();
      resized.disconnect();
    },
  };
}

/** What has to be mended, in the words of `streamproc doctor`; what is as it should be isn't told. */
function showFindings(place, findings) {
  const wanted = findings.filter((finding) => finding.verdict !== "ok");
  const key = JSON.stringify(wanted);
  place.hidden = !wanted.length;
  if (place.dataset.shown === key) return;
  place.dataset.shown = key;
  place.replaceChildren(...wanted.map(({ check, verdict, text }) =>
    h("li", { class: verdict }, h("b", {}, verdict === "fail" ? `Wrong: ${check}` : `To know: ${check}`), " ", h("span", { dir: "auto" }, text))));
}

function serverFigures(server, partitions, dead) {
  const rates = partitions.map((each) => each.rate).filter((rate) => rate !== null);
  const owned = partitions.filter((each) => each.projector).length;
  const limit = server.memory_limit_bytes;
  return figures([
    ["Server", `${server.kind} ${server.version}`], ["Kept on disk", server.aof ? (server.fsync ?? "yes") : "no"], ["Evicts", server.eviction ?? "not told"],
    ["Memory", `${mebibytes(server.memory_bytes)}${limit ? ` of ${mebibytes(limit)}` : ""}`],
    ["Events in the log", number(sum(partitions.map((each) => each.events)))],
    ["Events a second", rates.length ? number(inShort(sum(rates))) : "measuring…"],
    ["Not folded yet", number(sum(partitions.map((each) => each.lag)))],
    ["Behind by", took(Math.max(0, ...partitions.map((each) => each.behind_seconds ?? 0)))],
    ["Partitions owned", `${number(owned)} of ${number(partitions.length)}`], ["Dead letters", number(dead)],
  ]);
}

const mebibytes = (bytes) => (Number.isFinite(bytes) ? `${number(Math.round((10 * bytes) / MIB) / 10)} MiB` : NONE);
