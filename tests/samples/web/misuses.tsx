// What the module's types refuse: each line that is marked is an error, and no other.
import {Client, connect, setClient} from "streamproc";

new Client(); // refused
connect("https://progress.example.com", {token: 42}); // refused
const client = connect();
client.follow("import-42"); // refused
client.follow("import-42", (snapshot) => console.log(snapshot.percent)); // refused
client.follow("import-42", (_, {state}) => console.log(state === "lost")); // refused
client.followMany({status: "done"}, () => {}); // refused
client.followMany({kind: "import"}, () => {}).set(["a"]); // refused
client.followEvents("import-42", () => {}, {since: "1-1"}); // refused
setClient("https://progress.example.com"); // refused
document.createElement("job-progress").snapshot = null; // refused
document.createElement("job-list").addEventListener("jobend", ({detail}) => detail.percent); // refused
export const element = <job-progress jobs="import-42" />; // refused
