import {StrictMode} from "react";
import {createRoot} from "react-dom/client";
import {useJob, useJobs} from "./useJob.js";

function Job({job}) {
  const {snapshot, state, problem} = useJob(job);
  if (!snapshot) return <p>{state === "gone" ? (problem?.message ?? `There is no job ${job} yet.`) : "Connecting…"}</p>;
  return (
    <p>
      <label>
        {snapshot.title ?? job} <progress max="100" value={snapshot.percent ?? undefined} />
      </label>{" "}
      {snapshot.status} {state === "stale" && "(reconnecting)"}
    </p>
  );
}

function Jobs() {
  const jobs = useJobs({});
  // The element is one more way; React knows it as any other.
  return (
    <ul>
      {jobs.map(({job_id}) => (
        <li key={job_id}>
          <job-progress job={job_id} />
        </li>
      ))}
    </ul>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <h1>Jobs</h1>
    <Job job="import-42" />
    <Jobs />
  </StrictMode>,
);
