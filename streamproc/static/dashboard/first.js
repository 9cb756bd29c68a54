/** What begins before all else: it needs no other module, so the page that the address names is on its way at once. */

const PAGES = [
  { pattern: /^\/jobs$/, title: "Jobs", styles: [], load: () => import("./jobs.js") },
  { pattern: /^\/jobs\/([^/]+)$/, title: "Job", styles: ["pages.css", "job.css", "past.css", "vendor/uplot.css"], load: () => import("./job.js") },
  { pattern: /^\/kinds$/, title: "Kinds", styles: ["pages.css"], load: () => import("./kinds.js") },
  { pattern: /^\/kinds\/([^/]+)$/, title: "Kind", styles: ["pages.css"], load: () => import("./kind.js") },
  { pattern: /^\/slow$/, title: "Slow & stalled", styles: ["pages.css"], load: () => import("./slow.js") },
  { pattern: /^\/system$/, title: "System", styles: ["pages.css"], load: () => import("./system.js") },
];

/** What the jobs of the list are asked for by: in the address, and at the gateway. */
export const FILTERS = ["status", "kind", "q", "label", "worker", "owner", "stalled", "sort"];
export const PAGE = 100;

/** What the address says: a path, and parameters. */
export function address() {
  const [path, text = ""] = location.hash.slice(1).split("?");
  return { path: path || "/jobs", parameters: new URLSearchParams(text) };
}

/** The page of a path: its module, when that and its styles are there, its title, and which of its kind; null where there is none. */
export function pageAt(path) {
  const page = PAGES.find(({ pattern }) => pattern.test(path));
  if (!page) return null;
  const [, named] = path.match(page.pattern);
  const loaded = Promise.all([page.load(), ...page.styles.map(styled)]).then(([module]) => module);
  return { loaded, title: page.title, named: named === undefined ? undefined : decodeURIComponent(named) };
}

const sheets = new Map();

/** Have a style sheet; settles when it is there, or can't be had. */
function styled(name) {
  if (!sheets.has(name)) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(name, import.meta.url);
    sheets.set(name, new Promise((resolve) => (link.onload = link.onerror = resolve)));
    document.head.append(link);
  }
  return sheets.get(name);
}

export const filtersOf = (parameters) => Object.fromEntries(FILTERS.map((name) => [name, parameters.getAll(name)]));

/** The path of a list's head. `filters` are lists of texts. */
export function headOf(filters) {
  const wanted = new URLSearchParams({ limit: PAGE, counts: true });
  for (const name of FILTERS) for (const value of filters[name] ?? []) wanted.append(name, value);
  return `/v1/jobs?${wanted}`;
}

const asked = new Map();
const begun = address();
pageAt(begun.path)?.loaded.catch(() => {}); // whoever shows it is told
if (begun.path === "/jobs") {
  const wanted = headOf(filtersOf(begun.parameters));
  asked.set(wanted, fetch(wanted).catch(() => null));
}

// A browser takes some 30 ms to make the first of its formatters. Now it only waits for the network.
new Intl.NumberFormat().format(0);
new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(0);

/** The answer that was asked for before there was anybody to take it: once. Null where it is to be asked for. */
export async function first(wanted) {
  const response = await asked.get(wanted);
  asked.delete(wanted);
  return response?.ok ? response.json() : null;
}
