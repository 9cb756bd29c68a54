/** Progress of jobs for pages: see docs/web.md. */

export type Status = "queued" | "started" | "running" | "paused" | "finished" | "failed" | "canceled";

/** How well a follower is connected: see docs/web.md. */
export type State = "connecting" | "live" | "stale" | "polling" | "gone";

export interface Connection {
  state: State;
  /** Since when; of "stale", when something was last heard. */
  since: Date;
  /** What was refused, or failed, where something was. */
  problem: Problem | null;
}

/** Of p50 half of the jobs end before, of p90 nine in ten. */
export interface Quantiles<T> {
  p50: T;
  p90: T;
}

export interface Eta {
  remaining_seconds: Quantiles<number> | null;
  finish_at: Quantiles<string> | null;
  basis: "rate" | "history" | "blend" | null;
  reason: string | null;
}

export interface Failure {
  type: string;
  detail: string | null;
}

export interface Stage {
  name: string;
  weight: number;
  status: string;
  percent: number | null;
  started_at: string | null;
  finished_at: string | null;
  duration_seconds: number | null;
  error: Failure | null;
}

/** A job as `GET /v1/jobs/{id}` serves it; /openapi.json has all of its fields. */
export interface Snapshot {
  job_id: string;
  kind: string | null;
  title: string | null;
  status: Status;
  percent: number | null;
  message: string | null;
  current_stage: string | null;
  stages: Stage[];
  indicators: {label: string; done: number; total: number}[];
  units: {total: number; pending: number; running: number; finished: number; failed: number};
  items: {done: number; total: number} | null;
  worker: string | null;
  attempt: number;
  labels: Record<string, string>;
  owner: string | null;
  result: unknown;
  error: Failure | null;
  stalled: boolean;
  eta: Eta | null;
  created_at: string | null;
  started_at: string | null;
  updated_at: string | null;
  finished_at: string | null;
  events: number;
  position: string;
  [field: string]: unknown;
}

/** A request that was refused, or that got no answer: then its `status` is 0. */
export class Problem extends Error {
  readonly status: number;
  /** RFC 9457; null where what refused wasn't the gateway. */
  readonly problem: {type: string; title: string; status: number; detail?: string; [member: string]: unknown} | null;
  /** When to ask again, in ms. */
  readonly retryAfter: number | null;
}

/** Who asks; nothing is needed where the gateway asks nobody, or a session's cookie says it. */
export interface Who {
  /** A key, a JSON Web Token, or what gets the one that is good now. */
  token?: string | (() => string | Promise<string>);
  /** Gets a ticket; called for each request. */
  ticket?: () => string | Promise<string>;
  /** The token of a share link, for the one job that it is of. */
  share?: string;
}

export interface Filter {
  status?: Status | Status[];
  kind?: string | string[];
  worker?: string;
  owner?: string;
  label?: Record<string, string> | string | string[];
  stalled?: boolean;
  q?: string;
}

export interface Options {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface Following {
  close(): void;
}

export interface FollowingMany extends Following {
  /** Follow these instead. */
  set(jobs: Iterable<string>): void;
}

export interface Told {
  onState?: (state: State, connection: Connection) => void;
}

/** Something that happened to a job, as its history has it. */
export interface Entry {
  /** Where it is in the log. */
  position: string;
  /** When the gateway's server took it. */
  time: string;
  /** Why it changed nothing, if so. */
  mark: string | null;
  event: {job: string; type: string; [field: string]: unknown};
}

export interface EventsTold {
  /** The token of what one has, or the position of an event. */
  after?: string | null;
  /** What was told before counts no more; the history follows from its beginning. */
  onReset?: (why: {reason: string; detail: string}) => void;
  onState?: (state: State, connection: Connection) => void;
}

export class Client {
  private constructor();
  readonly url: string;
  /** The JSON at a path. Throws `Problem`. */
  get<T = any>(path: string, options?: Options): Promise<T>;
  /** What the gateway says to a body, which is sent as JSON. Throws `Problem`. */
  post<T = any>(path: string, body?: unknown, options?: Options): Promise<T>;
  /** A job's newest snapshot, whenever there is another, or another state of the connection. Null: there is none yet. */
  follow(job: string, callback: (snapshot: Snapshot | null, connection: Connection) => void): Following;
  /** The newest snapshots of jobs that are named. Null: there is no such job. */
  followMany(
    jobs: readonly string[] | ReadonlySet<string>,
    callback: (job: string, snapshot: Snapshot | null) => void,
    told?: Told,
  ): FollowingMany;
  /** Those of jobs that match a filter and haven't ended, and of their ends. Null: it matches no longer. */
  followMany(filter: Filter, callback: (job: string, snapshot: Snapshot | null) => void, told?: Told): Following;
  /** The events of a job: all of them, in order, each once. `token` goes on after these; `ended`: no more will come. */
  followEvents(
    job: string,
    callback: (entries: Entry[], told: {token: string | null; ended: boolean}) => void,
    options?: EventsTold,
  ): Following;
  /** Follow nothing any longer. Following by it afterwards throws. */
  close(): void;
}

/** A client of the gateway at a URL; without one of that which the page is from. Throws `TypeError` where it is no URL. */
export function connect(url?: string | URL, who?: Who): Client;

/** Have all elements without `src` follow by this client; null: by one of the gateway that this module is from. */
export function setClient(client: Client | null): void;

/** What `jobchange` and `jobend` tell. */
export interface JobChange extends Partial<Connection> {
  job: string;
  snapshot: Snapshot | null;
  state: State;
  /** The status before; null where nothing was seen before. */
  was: Status | null;
}

/** `<job-progress job="…">`: attributes are `job`, `src` (another gateway's URL), `href` (`/jobs/{job}`). */
export class JobProgress extends HTMLElement {
  job: string | null;
  client: Client | null;
  readonly snapshot: Snapshot | null;
  /** Show a snapshot that you have, where no `job` is given. */
  show(snapshot: Snapshot | null, connection?: Partial<Connection>): void;
}

/** `<job-list kind="…">`: attributes are those of a filter, or `jobs`; `most`, `src` and `href`. */
export class JobList extends HTMLElement {
  client: Client | null;
}

/** What JSX may say of the elements. React 19: `declare module "react" { namespace JSX { interface IntrinsicElements extends JobElements {} } }`. */
export interface JobElements {
  "job-progress": JobAttributes<JobProgress> & {job?: string};
  "job-list": JobAttributes<JobList> & {
    status?: string;
    kind?: string;
    worker?: string;
    owner?: string;
    label?: string;
    stalled?: string | boolean;
    q?: string;
    jobs?: string;
    most?: number | string;
  };
}

interface JobAttributes<Element> {
  src?: string;
  href?: string;
  client?: Client | null;
  id?: string;
  class?: string;
  className?: string;
  style?: unknown;
  hidden?: boolean;
  slot?: string;
  key?: string | number | null;
  ref?: ((element: Element | null) => void) | {current: Element | null} | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "job-progress": JobProgress;
    "job-list": JobList;
  }
  interface HTMLElementEventMap {
    jobchange: CustomEvent<JobChange>;
    jobend: CustomEvent<JobChange>;
  }
  namespace JSX {
    interface IntrinsicElements extends JobElements {}
  }
}
