"""How messages of live streams look: as server-sent events (WHATWG HTML, 9.2), or as frames of a WebSocket.

Nothing that a client sent gets into a field but `data`, whose JSON is one line; so no name can make events of its own.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from websockets.frames import Frame, Opcode

from streamproc.gateway.lines import event_line
from streamproc.hub import Live
from streamproc.log import Entry

__all__ = [
    "COMMENT", "Format", "closed", "end", "event", "frame", "named", "names", "numbered", "reset", "retry", "snapshot",
    "sse", "sse_of_many",
]  # fmt: skip

Format = Callable[[str, bytes, str | None, str | None], bytes]
"""Makes a message of its name, its data (JSON in one line), its job and the token to go on after it."""

COMMENT: Final = b":\n\n"
_RETRY_MS: Final = (1000, 4000)
_REASONS: Final = {
    "incarnation": "the log was begun anew",
    "position": "the position is beyond the end of the history",
    "past": "the job's past has changed",
}
_json: Final = msgspec.json.Encoder().encode


def sse(name: str, data: bytes, job: str | None, token: str | None) -> bytes:
    """A message of a stream of one job."""
    if token is None:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (token.encode(), name.encode(), data)


def sse_of_many(name: str, data: bytes, job: str | None, token: str | None) -> bytes:
    """A message of a stream of many jobs: its token would be of one of them, and the stream's own is `numbered` in."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def numbered(message: bytes, token: str) -> bytes:
    """A server-sent event with its token."""
    return b"id: %b\n%b" % (token.encode(), message)


def frame(name: str, data: bytes, job: str | None, token: str | None) -> bytes:
    """A text frame of a WebSocket."""
    text = b'{"event":%b,"job":%b,"id":%b,"data":%b}' % (_json(name), _json(job), _json(token), data)
    return bytes(Frame(Opcode.TEXT, text).serialize(mask=False))


def snapshot(form: Format, job: str, live: Live, served: bytes, *, resumable: bool = True) -> bytes:
    """A job as it is now. Who has it has not got the history up to it; then it is no place to resume after."""
    return form("snapshot", served, job, str(live.token) if resumable else None)


def event(form: Format, job: str, incarnation: str, entry: Entry) -> bytes:
    """An entry of a job's history."""
    return form("event", event_line(entry), job, f"{incarnation}.{entry[0].decode()}")


def reset(form: Format, job: str, reason: str) -> bytes:
    """What was sent of a job counts no more."""
    return form("reset", _json({"job": job, "reason": reason, "detail": _REASONS[reason]}), job, None)


def end(form: Format, job: str, live: Live) -> bytes:
    """Nothing more will come of a job."""
    return form("end", _json({"job": job, "position": live.position}), job, None)


def closed(form: Format, reason: str, token: str | None = None, **more: Any) -> bytes:
    """The gateway ends the stream."""
    return form("closed", _json({"reason": reason, **more}), None, token)


def names(jobs: Iterable[str]) -> bytes:
    """The data of a message that names jobs."""
    return _json({"jobs": list(jobs)})


def named(job: str) -> bytes:
    """The data of a message about a job."""
    return _json({"job": job})


def retry() -> bytes:
    """When to connect again: not all clients of a gateway that stops in the same moment."""
    return b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311 - to spread clients, not to keep secrets
