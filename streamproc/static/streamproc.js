// Progress for any page: `import {connect} from "/static/streamproc.js"`, and the elements of docs/web.md.

import {JobList, JobProgress, setClient} from "./elements.js";

export {Client, Problem, connect} from "./client.js";
export {JobList, JobProgress, setClient};

for (const [name, element] of [["job-progress", JobProgress], ["job-list", JobList]]) {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, element);
}
