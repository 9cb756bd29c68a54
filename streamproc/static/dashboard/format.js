/** Numbers and times as people read them, in the reader's own zone. What isn't known is a dash, never NaN. */

import { h } from "./dom.js";

export const NONE = "–";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const timeOnly = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const dayOnly = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const toTheMinute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const DAY = 86_400;
const YEAR = 365.25 * DAY;
const UNITS = [[YEAR, "y"], [YEAR / 12, "mo"], [DAY, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
const LEAST_IN_MONTHS = 90 * DAY; // "45 d" says more than "1 mo 14 d"
const CENTURY = 100 * YEAR;

const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

let skew = 0;

/** Tell what time it is where the gateway is, by the `Date` of a response. */
export function setClock(text) {
  const told = Date.parse(text);
  if (Number.isFinite(told) && Math.abs(told - Date.now()) > 2_000) skew = told - Date.now();
}

/** Milliseconds since 1970 by the gateway's clock. */
export const now = () => Date.now() + skew;

/** A moment of this machine's clock, as an RFC 3339 text by the gateway's. */
export const byGateway = (date) => new Date(date.getTime() + skew).toISOString();

/** Milliseconds since 1970 of an RFC 3339 text; NaN where there is none. */
export const millis = (text) => (typeof text === "string" ? Date.parse(text) : NaN);

export const number = (value) => (Number.isFinite(value) ? whole.format(value) : NONE);

/** A number in few characters: 1.2K, 1000T. */
export const short = (value) => (Number.isFinite(value) ? (Math.abs(value) < 10_000 ? number(value) : compact.format(value)) : NONE);

/** A percent, rounded down, so that what isn't done never looks so. */
export function percent(value) {
  return Number.isFinite(value) ? `${whole.format(Math.floor(Math.min(100, Math.max(0, value)) * 10) / 10)} %` : NONE;
}

/** A share of 0 to 1. */
export const share = (value) => (Number.isFinite(value) ? percent(value * 100) : NONE);

/** Seconds in at most two units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds > CENTURY) return "over 100 years";
  const known = Math.max(0, seconds);
  if (known < 10 && known % 1) return `${tenths.format(Math.floor(known * 10) / 10)} s`;
  const units = known < LEAST_IN_MONTHS ? UNITS.slice(2) : UNITS;
  const [[size, name], rest] = units.slice(units.findIndex(([each]) => known >= each)); // of 0 s: the last
  const text = `${number(Math.floor(known / size))} ${name}`;
  const more = rest ? Math.floor((known % size) / rest[0]) : 0;
  return more ? `${text} ${number(more)} ${rest[1]}` : text;
}

/** An instant in the reader's zone, as short as it may be today. */
export function instant(text) {
  const at = new Date(millis(text));
  if (Number.isNaN(at.getTime())) return NONE;
  const away = Math.abs(at.getTime() - now());
  if (at.toDateString() === new Date(now()).toDateString()) return timeOnly.format(at);
  return (away < 300 * 86_400_000 ? dayAndTime : dayOfYear).format(at);
}

/** A `<time>` that shows an instant, and on hover exactly which. */
export function time(text) {
  const element = h("time");
  setTime(element, text);
  return element;
}

export function setTime(element, text) {
  if (element.dateTime === (text ?? "") && element.textContent) return;
  element.dateTime = text ?? "";
  element.dir = "auto"; // the words of the reader's language
  element.textContent = instant(text);
  element.title = exact(text);
}

/** The texts of the moments on an axis, in seconds since 1970: as fine as they stand apart. */
export function moments(ticks) {
  const apart = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  const span = ticks.at(-1) - ticks[0];
  const form = apart >= 86_400 ? dayOnly : span >= 86_400 ? dayAndTime : apart >= 60 ? toTheMinute : timeOnly;
  return ticks.map((tick) => (apart < 1 ? `${(tick % 60).toFixed(3)} s` : form.format(tick * 1000)));
}

/** Texts side by side. Those with words from right to left are isolated, so that the others stay in their order. */
export const together = (...texts) => texts.filter(Boolean).map((text) => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text)).join(" · ");

/** An instant to the millisecond, in the reader's zone and in UTC. */
export function exact(text) {
  const at = new Date(millis(text));
  return Number.isNaN(at.getTime()) ? "" : `${at.toLocaleString(undefined, { timeZoneName: "long" })} · ${at.toISOString()}`;
}
