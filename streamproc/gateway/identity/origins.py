"""Whether a browser's page may ask this of us: ``Host``, ``Origin`` and what browsers say of pages.

Two attacks are kept out. A page elsewhere lets the browser send what the gateway would take for its user's own
request (CSRF); and a page elsewhere gives its own name our address, so that the browser takes us for its origin (DNS
rebinding).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from streamproc.config import is_loopback
from streamproc.gateway.identity.head import Head
from streamproc.gateway.problems import Problem

__all__ = ["Origins"]

_TOKEN: Final = re.compile(rb"(?:^|&)(access_token|id_token|token|jwt|api_key|apikey)=", re.IGNORECASE)
_RELATED: Final = ("", "same-origin", "none")
"""None is the user: an address typed, a bookmark."""


class Origins:
    """The names by which the gateway may be called, and the origins whose pages may.

    Args:
        hosts: names besides loopback's; None takes any.
        allowed: origins besides our own; ``*`` is any, for what carries no cookie.
    """

    def __init__(self, hosts: Sequence[str] | None, allowed: Sequence[str]) -> None:
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._allowed = frozenset(allowed)
        self._ours = lru_cache(maxsize=256)(self._is_ours)

    def check(self, head: Head) -> None:
        """Raise `Problem` where a request came by a strange name, from a strange page, or with a token in its URL."""
        if head.query:
            self._check_query(head.query)
        if self._hosts is not None and not head.at_path and not self._ours(head.host):
            detail = (
                f"this gateway isn't called {head.host[:200]!r}: ask it by a loopback name, "
                "or start it with --allowed-host for that name"
            )
            raise Problem(421, "unknown-host", detail)
        if not head.reads:
            self._check_page(head, "*" in self._allowed)

    def check_with_cookie(self, head: Head) -> None:
        """Raise `Problem` where a request carries a cookie and comes from a page elsewhere."""
        self._check_page(head, anybody=False)

    def _check_query(self, query: bytes) -> None:
        found = _TOKEN.search(query)
        if found is not None:
            name = found[1].decode()
            detail = (
                f"{name}: a token in a URL ends up in logs and histories; send Authorization: Bearer …, "
                "or make a ticket by POST /v1/tickets where a browser can't"
            )
            raise Problem(400, "token-in-url", detail, parameter=name)

    def _is_ours(self, host: str) -> bool:
        assert self._hosts is not None  # noqa: S101 - for the type checker
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or name in self._hosts or host in self._hosts

    def _check_page(self, head: Head, anybody: bool) -> None:
        if head.origin:
            if head.origin in self._allowed or anybody or _is_own(head):
                return
        elif head.site in _RELATED or anybody:
            return
        detail = f"pages of {head.origin[:200] or 'other sites'} may not ask this; --cors-origin lets them"
        raise Problem(403, "foreign-origin", detail)


def _is_own(head: Head) -> bool:
    """Whether an origin is ours. A proxy may speak TLS for us, so its scheme doesn't count."""
    origin = urlsplit(head.origin)
    default = {"http": ":80", "https": ":443"}.get(origin.scheme)
    if default is None or not head.host:
        return False
    return origin.netloc.lower().removesuffix(default) == head.host.removesuffix(default)
