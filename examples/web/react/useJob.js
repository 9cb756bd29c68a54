// Hooks that follow jobs: `const {snapshot, state} = useJob("import-42")`, `const jobs = useJobs({kind: "import"})`.

import {createContext, useContext, useEffect, useState} from "react";
import {connect} from "streamproc";

const ours = new URL(import.meta.resolve("streamproc")).origin;

/** The client by which components follow; give one by `<Gateway value={connect(url, {token})}>`. */
export const Gateway = createContext(connect(ours));

/** A job as it is now, and how well we are connected. */
export function useJob(job) {
  const client = useContext(Gateway);
  const [seen, setSeen] = useState({snapshot: null, state: "connecting"});
  useEffect(() => {
    const following = client.follow(job, (snapshot, connection) => setSeen({snapshot, ...connection}));
    return () => following.close();
  }, [client, job]);
  return seen;
}

/** The jobs that match a filter and haven't ended, the newest first. */
export function useJobs(filter) {
  const client = useContext(Gateway);
  const [jobs, setJobs] = useState(new Map());
  const what = JSON.stringify(filter); // a filter is written anew each time, and mostly the same
  useEffect(() => {
    setJobs(new Map());
    const following = client.followMany(JSON.parse(what), (job, snapshot) =>
      setJobs((jobs) => {
        const next = new Map(jobs);
        if (snapshot) next.set(job, snapshot);
        else next.delete(job);
        return next;
      }),
    );
    return () => following.close();
  }, [client, what]);
  return [...jobs.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
}
