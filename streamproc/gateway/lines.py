"""Events as lines of JSON. Histories are replayed by the hundred thousand: what a line takes counts."""

from functools import lru_cache

from streamproc.log import Entry
from streamproc.position import rfc3339

__all__ = ["event_line", "one_line", "time_of"]


def event_line(entry: Entry) -> bytes:
    """An entry of a history, as one line of JSON."""
    position, fields = entry
    mark = b'"%b"' % fields[3] if len(fields) > 2 else b"null"
    return b'{"position":"%b","time":"%b","mark":%b,"event":%b}' % (
        position,
        time_of(position),
        mark,
        one_line(fields[1]),
    )


def time_of(position: bytes) -> bytes:
    """When an entry was appended, as RFC 3339. Entries of one second share most of it."""
    ms = position[: position.index(b"-")]
    return b"%b%bZ" % (_second(ms[:-3]), ms[-3:]) if len(ms) > 3 else rfc3339(int(ms)).encode()


@lru_cache(maxsize=1024)
def _second(seconds: bytes) -> bytes:
    return rfc3339(int(seconds) * 1000).encode()[:-4]


def one_line(payload: bytes) -> bytes:
    """JSON in one line: a line break in it can only stand between its tokens."""
    if b"\n" in payload or b"\r" in payload:
        return payload.replace(b"\r", b" ").replace(b"\n", b" ")
    return payload
