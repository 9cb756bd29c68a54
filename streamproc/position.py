"""Positions in a partition's log, and the resume tokens that clients hold.

A position is a stream id, ``ms-seq``: the server's clock in milliseconds and a number within it. It only rises.
A resume token is ``incarnation.ms-seq``: the incarnation names the partition's life, so that a token from
before a partition was recreated is told from one of today.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from streamproc.errors import InvalidPosition

__all__ = ["END", "START", "Token", "check", "key", "millis", "parse_rfc3339", "parse_token", "rfc3339"]

START = "0-0"
"""The position before every event."""
END = f"{2**64 - 1}-{2**64 - 1}"
"""The position after every event."""

_POSITION = re.compile(r"(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})")
_TOKEN = re.compile(r"([0-9a-f]{1,32})\.([0-9-]{3,41})")
_MAX = 2**64 - 1


class Token(NamedTuple):
    """A resume token: which life of the partition, and where in it."""

    incarnation: str
    position: str

    def __str__(self) -> str:
        return f"{self.incarnation}.{self.position}"


def check(position: str) -> str:
    """Return `position` as it is, or raise `InvalidPosition`."""
    key(position)
    return position


def key(position: str) -> tuple[int, int]:
    """The sort key of a position: its milliseconds and its number within them."""
    match = _POSITION.fullmatch(position)
    if match is None:
        raise InvalidPosition(f"{position[:60]!r} is not a position such as 1763750000000-0")
    ms, seq = int(match[1]), int(match[2])
    if ms > _MAX or seq > _MAX:
        raise InvalidPosition(f"{position!r} is beyond 64 bits")
    return ms, seq


def millis(position: str) -> int:
    """The time of a position, in milliseconds since 1970 (the server's clock)."""
    return int(position.partition("-")[0])


def parse_token(text: str) -> Token:
    """Read a resume token. Raises `InvalidPosition`."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidPosition(f"{text[:80]!r} is not a resume token such as 5f3a90c1.1763750000000-0")
    return Token(match[1], check(match[2]))


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC, e.g. ``2026-11-21T18:33:20.000Z``."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """The milliseconds since 1970 of what `rfc3339` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
