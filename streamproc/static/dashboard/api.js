/** The gateway, as this page asks it. */

import { connect } from "../client.js";
import { setClock } from "./format.js";

export const client = connect(location.origin);

/** A query of what is given: an object of texts and lists; what is empty is left out. */
export function query(wanted) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== null && each !== undefined && each !== "") found.append(name, each);
  }
  const text = found.toString();
  return text && `?${text}`;
}

/** The path of a job, or of something of it. */
export const jobPath = (job, rest = "", wanted = {}) => `/v1/jobs/${encodeURIComponent(job)}${rest}${query(wanted)}`;

/** All pages of a list, one after the other: each as soon as it is there. */
export async function* pages(path, wanted, key) {
  for (let cursor = null; ; ) {
    const page = await client.get(path + query({ ...wanted, cursor }));
    yield page[key];
    cursor = page.next;
    if (!cursor) return;
  }
}

/** Keep a key in a session's cookie. Raises what the gateway says against it. */
export async function signIn(key) {
  const response = await fetch("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });
  if (!response.ok) throw new Error(response.status === 401 ? "This key isn't known here." : `The gateway answers ${response.status}.`);
}

/** What time it is at the gateway. Where it doesn't answer, the clock of this machine will do. */
export async function readClock() {
  const response = await fetch("/livez").catch(() => null);
  if (response) setClock(response.headers.get("date"));
}
