"""Something that answers HTTP as a test wants it to, where a gateway is expected."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["Answer", "Request", "StandIn", "stand_in"]


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    token: str | None
    lines: list[dict[str, Any]]


class Answer(NamedTuple):
    """What is answered: JSON, or text as HTML. Status 0 hangs up."""

    status: int
    body: Any = ""


class StandIn:
    """Answers as a gateway does, unless `answer` says otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.taken: list[dict[str, Any]] = []
        """The events of requests that were answered with 201."""
        self.answer: Callable[[Request], Answer | None] = lambda request: None

    def reply(self, request: Request) -> Answer:
        self.requests.append(request)
        special = self.answer(request)
        if special is not None:
            return special
        if "/stream" in request.path:
            return Answer(404)  # nothing is folded here
        if request.method == "GET":
            return Answer(200, {"jobs": [], "next": None})
        self.taken += request.lines
        return Answer(201, {"events": [{"job": event["job"]} for event in request.lines]})


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Listen on a free port of loopback until the ``with`` ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: the second would wait for the acknowledgement of the first

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            token, lines = self.headers["authorization"], [json.loads(line) for line in body.splitlines()]
            answer = there.reply(Request(self.command, self.path, token, lines))
            if not answer.status:
                self.close_connection = True
                return
            kind = "text/html" if isinstance(answer.body, str) else "application/json"
            content = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = StandIn(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
