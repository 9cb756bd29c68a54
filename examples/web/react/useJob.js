// Hooks that follow jobs: `const {snapshot, state} = useJob("import-42")`, `const jobs = useJobs({kind: "import"})`.

import {createContext, useContext, useEffect, useState} from "react";
import {connect} from "streamproc";

const CONNECTING = {snapshot: null, state: "connecting", problem: null};
const ENDED = ["finished", "failed", "canceled"];

/** The client by which components follow; give one by `<Gateway.Provider value={connect(url, {token})}>`. */
export const Gateway = createContext(connect(new URL(import.meta.resolve("streamproc")).origin));

/** A job as it is now, and how well we are connected. */
export function useJob(job) {
  const client = useContext(Gateway);
  const [seen, setSeen] = useState({});
  useEffect(() => {
    const following = client.follow(job, (snapshot, connection) => setSeen({client, job, snapshot, ...connection}));
    return () => following.close();
  }, [client, job]);
  return seen.client === client && seen.job === job ? seen : CONNECTING; // not another's, until this one is known
}

/** The jobs that match a filter, the newest first: those that haven't ended, and those that did while there is room. */
export function useJobs(filter, most = 50) {
  const client = useContext(Gateway);
  const [seen, setSeen] = useState([]);
  const what = JSON.stringify(filter); // a filter is written anew each time, and mostly the same
  useEffect(() => {
    const known = new Map();
    setSeen([]);
    const following = client.followMany(JSON.parse(what), (job, snapshot) => {
      if (snapshot) known.set(job, snapshot);
      else known.delete(job);
      const jobs = [...known.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
      for (const {job_id, status} of jobs.slice(most)) if (ENDED.includes(status)) known.delete(job_id);
      setSeen(jobs.slice(0, most));
    });
    return () => following.close();
  }, [client, what, most]);
  return seen;
}
