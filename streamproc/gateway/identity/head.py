"""What of a request's head says who asks, and from where."""

from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct
from starlette.requests import cookie_parser
from starlette.types import Scope

__all__ = ["COOKIE", "Head"]

COOKIE: Final = "streamproc_session"
_BEARER: Final = "bearer "
_WANTED: Final = frozenset((b"authorization", b"cookie", b"host", b"origin", b"sec-fetch-site"))


class Head(Struct, frozen=True):
    """The part of a request's head that identity is about; what isn't there is empty.

    Args:
        method: of HTTP; empty for a WebSocket.
        host: the ``Host``, lower-case.
        origin: the ``Origin``.
        site: ``Sec-Fetch-Site``: how the page that asks is related to us, as its browser says.
        bearer: the token of ``Authorization``.
        query: the query string, as it came.
        cookies: likewise.
        at_path: whether it came by a Unix socket, that only we may open.
    """

    method: str
    host: str
    origin: str
    site: str
    bearer: str
    query: bytes
    cookies: str
    at_path: bool

    @classmethod
    def of(cls, scope: Scope) -> "Head":
        found = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _WANTED}
        authorization = found.get(b"authorization", "")
        server = scope.get("server")
        return cls(
            scope.get("method", ""),
            found.get(b"host", "").lower(),
            found.get(b"origin", ""),
            found.get(b"sec-fetch-site", ""),
            authorization[len(_BEARER) :].strip() if authorization[: len(_BEARER)].lower() == _BEARER else "",
            scope["query_string"],
            found.get(b"cookie", ""),
            server is not None and server[1] is None,
        )

    @property
    def reads(self) -> bool:
        """Whether it changes nothing. A WebSocket may, and no browser asks before it opens one."""
        return self.method in ("GET", "HEAD", "OPTIONS")

    @property
    def session(self) -> str:
        """The cookie of a browser's session."""
        return cookie_parser(self.cookies).get(COOKIE, "") if COOKIE in self.cookies else ""

    def parameter(self, name: str) -> str:
        """The first value of a parameter of the query."""
        if name.encode() not in self.query:
            return ""
        return parse_qs(self.query.decode("latin-1")).get(name, [""])[0]
