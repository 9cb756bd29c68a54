// Server-sent events of a response's body (WHATWG HTML, 9.2), as they come.

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} heard is called for each piece that arrives, be it only a comment
 */
export async function* messages(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let message = {event: "message", data: "", id: null, retry: null};
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const text of lines) {
      const line = text.endsWith("\r") ? text.slice(0, -1) : text;
      if (line === "") {
        yield message;
        message = {event: "message", data: "", id: null, retry: null};
        continue;
      }
      const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === "data") message.data += message.data && "\n";
      if (field === "data") message.data += content;
      else if (field === "event" || field === "id") message[field] = content;
      else if (field === "retry") message.retry = Number(content) || null;
    }
  }
}
