// How the elements look, and what they say of a job. A sheet of its own, as a strict Content-Security-Policy allows
// no style in the markup; and whatever is missing or odd is left out: nothing says NaN.

const TEXT = `
:host {
  --_accent: light-dark(#2457d6, #7aa2ff);
  --_good: light-dark(#1a7f4b, #5ccf95);
  --_bad: light-dark(#c22f2f, #ff8a80);
  --_warn: light-dark(#96600a, #f0b95a);
  --_far: 70%;
  --_track: color-mix(in srgb, currentColor 14%, transparent);
  display: block;
  font: var(--job-font, inherit);
  color: var(--job-color, inherit);
  min-inline-size: 0;
}
:host([hidden]) { display: none; }
a { color: inherit; text-decoration: none; }
a[href]:hover { text-decoration: underline; }
.line { display: flex; gap: 0.75em; align-items: baseline; justify-content: space-between; }
.title { min-inline-size: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
.status { flex: none; font-variant-numeric: tabular-nums; }
.about { text-align: match-parent; min-block-size: 1.4em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: 0.875em; }
.track {
  block-size: var(--job-height, 0.5em);
  margin-block: 0.35em;
  border-radius: var(--job-radius, 999px);
  background: var(--job-track, var(--_track));
  overflow: hidden;
}
.bar {
  block-size: 100%;
  inline-size: 100%;
  border-radius: inherit;
  background: var(--job-accent, var(--_accent));
  transform: scaleX(var(--part, 0));
  transform-origin: left;
}
:host(:dir(rtl)) { --_far: -70%; }
:host(:dir(rtl)) .bar { transform-origin: right; }
.finished .bar { background: var(--job-good, var(--_good)); }
.failed .bar { background: var(--job-bad, var(--_bad)); }
.failed .status { color: var(--job-bad, var(--_bad)); }
.stalled .bar, .paused .bar { background: var(--job-warn, var(--_warn)); }
.canceled .bar { background: currentColor; opacity: 0.5; }
.unsure .bar { transform: none; opacity: 0.4; }
.stale .track { opacity: 0.5; transition: opacity 0.3s 0.5s; }
.gone .track { opacity: 0.5; }
.gone .about { white-space: normal; overflow-wrap: anywhere; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: var(--job-gap, 1em); }
li { min-inline-size: 0; }
@media (prefers-reduced-motion: no-preference) {
  .bar { transition: transform 0.2s linear; }
  .unsure .bar { opacity: 1; animation: to-and-fro 1.6s ease-in-out infinite alternate; }
  @keyframes to-and-fro { from { transform: scaleX(0.3); } to { transform: translateX(var(--_far)) scaleX(0.3); } }
}
@media (forced-colors: active) {
  .track { border: 1px solid; }
  .bar { background: Highlight !important; forced-color-adjust: none; }
}
`;

let sheet;

/** A shadow root with this look. */
export function root(element) {
  const shadow = element.attachShadow({mode: "open"});
  if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(TEXT);
  shadow.adoptedStyleSheets = [sheet];
  return shadow;
}

/** An element with attributes, and what is in it: elements or text, never markup. */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** Set a text where it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute where it is another; null takes it away. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const STATUS = {
  queued: "Queued",
  started: "Started",
  running: "Running",
  paused: "Paused",
  finished: "Finished",
  failed: "Failed",
  canceled: "Canceled",
};
const CONNECTION = {connecting: "Connecting…", stale: "Reconnecting…", gone: "There is no such job"};
const BREATH = 3_000;
const MOST_SAID = 3;
const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

export const statusWord = (snapshot) => (snapshot.stalled ? "Stalled" : (STATUS[snapshot.status] ?? snapshot.status));

/** Rounded down: 100 % is only what is done. */
export function percentText(percent) {
  return Number.isFinite(percent) ? `${Math.floor(percent)} %` : "";
}

/** In its two largest units: "3 d 4 h", "12 min 5 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  let left = Math.max(0, Math.round(seconds));
  const at = Math.max(0, UNITS.findIndex(([, size]) => left >= size));
  if (left === 0) return "0 s";
  const said = [];
  for (const [unit, size] of UNITS.slice(at, at + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) said.push(`${count} ${unit}`);
  }
  return said.join(" ");
}

export function instant(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
}

/** What is worth knowing of the connection; nothing while all is well. */
export function connectionWord({state, since, problem}) {
  if (state === "gone" && problem && problem.status !== 404) return problem.message;
  if (state === "stale" && since) return `Reconnecting; as of ${since.toLocaleTimeString(undefined, {timeStyle: "medium"})}`;
  return CONNECTION[state] ?? "";
}

/** Says things aloud, in a live region: at once, and then what came in some seconds together. */
export function announcer(region) {
  let waiting = [];
  let timer = null;
  const speak = () => {
    if (waiting.length) say(region, waiting.length > MOST_SAID ? `${waiting.length} changes` : waiting.join(". "));
    timer = waiting.length ? setTimeout(speak, BREATH) : null;
    waiting = [];
  };
  return (text) => {
    waiting.push(text);
    if (!timer) speak();
  };
}
