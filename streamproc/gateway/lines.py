"""Events as lines of JSON."""

from streamproc.log import Entry
from streamproc.position import millis, rfc3339

__all__ = ["event_line", "one_line"]


def event_line(entry: Entry) -> bytes:
    """An entry of a history, as one line of JSON."""
    position, fields = entry
    mark = b'"%b"' % fields[3] if len(fields) > 2 else b"null"
    time = rfc3339(millis(position.decode())).encode()
    return b'{"position":"%b","time":"%b","mark":%b,"event":%b}' % (position, time, mark, one_line(fields[1]))


def one_line(payload: bytes) -> bytes:
    """JSON in one line: a line break in it can only stand between its tokens."""
    return payload.replace(b"\r", b" ").replace(b"\n", b" ")
