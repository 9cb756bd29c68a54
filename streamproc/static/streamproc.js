// Progress for any page: `import {connect} from "/static/streamproc.js"`. See docs/web.md.

export {Client, Problem, connect} from "./client.js";
