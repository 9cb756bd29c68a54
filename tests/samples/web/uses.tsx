// All that the module's types offer, as a page would use it.
import {
  Client,
  Connection,
  Entry,
  Filter,
  Following,
  JobChange,
  JobList,
  JobProgress,
  Problem,
  Snapshot,
  State,
  Who,
  connect,
  setClient,
} from "streamproc";

const who: Who = {token: async () => "key"};
const client: Client = connect("https://progress.example.com", who);
connect();
connect(new URL("https://progress.example.com"), {ticket: () => "t"});
setClient(client);
setClient(null);

const one: Following = client.follow("import-42", (snapshot: Snapshot | null, {state, since, problem}: Connection) => {
  const percent: number | null | undefined = snapshot?.percent;
  const left: number | undefined = snapshot?.eta?.remaining_seconds?.p90;
  const names: string[] = snapshot?.stages.map(({name}) => name) ?? [];
  const refused: string | undefined = problem?.problem?.type;
  console.log(percent, left, names, since.getTime(), refused, state === "stale", snapshot?.a_field_of_tomorrow);
});
one.close();

const many = client.followMany(["a", "b"], (job, snapshot) => console.log(job, snapshot?.status === "failed"), {
  onState: (state: State, {since}) => console.log(state, since),
});
many.set(new Set(["c"]));
const filter: Filter = {status: ["queued", "running"], label: {team: "x"}, stalled: true};
client.followMany(filter, (job, snapshot) => console.log(job, snapshot)).close();

let after: string | null = null;
client.followEvents(
  "import-42",
  (entries: Entry[], {token, ended}) => {
    after = token;
    for (const {position, time, mark, event} of entries) console.log(position, time, mark, event.type, ended);
  },
  {after, onReset: ({reason, detail}) => console.log(reason, detail), onState: (state) => console.log(state)},
);

async function ask(): Promise<void> {
  try {
    const page = await client.get<{jobs: Snapshot[]}>("/v1/jobs", {signal: new AbortController().signal});
    await client.post(`/v1/jobs/${page.jobs[0].job_id}/cancel`, {reason: "wrong file"});
  } catch (error) {
    if (error instanceof Problem) console.log(error.status, error.problem?.detail, error.retryAfter, error.message);
  }
}
void ask();

const bar: JobProgress = document.createElement("job-progress");
bar.job = "import-42";
bar.client = client;
bar.show(bar.snapshot, {state: "live"});
bar.addEventListener("jobend", ({detail}) => console.log(detail.job, detail.snapshot?.result, detail.was));
const list: JobList | null = document.querySelector("job-list");
list?.addEventListener("jobchange", (event: CustomEvent<JobChange>) => console.log(event.detail.state));
client.close();

export const page = (
  <section>
    <job-progress job="import-42" src="https://progress.example.com" href="/jobs/{job}" key="1" />
    <job-list kind="import" most={5} client={client} />
  </section>
);

declare global {
  namespace JSX {
    interface IntrinsicElements {
      section: {};
    }
    interface ElementChildrenAttribute {
      children: {};
    }
  }
}
