// Progress for any page: `import {connect} from "/static/streamproc.js"`, and the elements of docs/web.md.

import {JobList} from "./list.js";
import {JobProgress} from "./progress.js";

export {Client, Problem, connect} from "./client.js";
export {setClient} from "./following.js";
export {JobList, JobProgress};

for (const [name, element] of [["job-progress", JobProgress], ["job-list", JobList]]) {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, element);
}
