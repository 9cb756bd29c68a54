/** What a list was like where somebody left it, for when they come back by the browser's history. */

const MOST = 20;
const kept = new Map();
let number = 0;

// Pages are drawn by scripts, so the browser can't know yet how tall one will be.
history.scrollRestoration = "manual";

/** The visit that the address now shown is of: its name, and what was kept of it; null where nothing was. */
export function arrive() {
  const name = history.state?.visit ?? `${performance.timeOrigin}-${++number}`;
  history.replaceState({ ...history.state, visit: name }, "");
  return { name, left: kept.get(name) ?? null };
}

/** Keep what a visit was like. */
export function leave(name, what) {
  kept.delete(name);
  kept.set(name, what);
  if (kept.size > MOST) kept.delete(kept.keys().next().value);
}
