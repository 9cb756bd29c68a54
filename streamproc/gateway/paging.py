"""Pages of lists, and cursors: places in them that clients hand back without having to understand them.

A cursor is of one list: of a path and what narrows and sorts it. Used for another it would be a place in nothing.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.parameters import invalid

__all__ = ["cursor", "pack_cursor", "page_of", "splice"]

_PLACE: Final = re.compile(r"([0-9]{1,20}):(.*)", re.DOTALL)
_OF_THE_PAGE: Final = frozenset({"cursor", "limit", "counts"})
"""What may differ from page to page."""
_DIGEST_BYTES: Final = 6


def pack_cursor(request: Request, number: int, text: str = "") -> str:
    """The cursor of a place in the list that was asked for."""
    return base64.urlsafe_b64encode(_list_of(request) + f"{number}:{text}".encode()).decode().rstrip("=")


def cursor(request: Request) -> tuple[int, str] | None:
    """The place that the request's cursor names."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        match = _PLACE.fullmatch(packed[_DIGEST_BYTES:].decode())
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise invalid("cursor", "is not one that was given out here")
    if packed[:_DIGEST_BYTES] != _list_of(request):
        raise invalid("cursor", "is of another list: keep the filters and the sort, or begin without a cursor")
    return int(match[1]), match[2]


def _list_of(request: Request) -> bytes:
    """What tells the list from others."""
    asked = sorted(item for item in request.query_params.multi_items() if item[0] not in _OF_THE_PAGE)
    return hashlib.blake2b(repr((request.url.path, asked)).encode(), digest_size=_DIGEST_BYTES).digest()


def splice(name: str, items: Sequence[bytes], following: str | None, more: Mapping[str, Any] | None = None) -> bytes:
    """A page of a list, of items that are JSON already."""
    rest = b"".join(b',"%b":%b' % (key.encode(), msgspec.json.encode(value)) for key, value in (more or {}).items())
    return b'{"%b":[%b],"next":%b%b}' % (name.encode(), b",".join(items), msgspec.json.encode(following), rest)


def page_of(
    request: Request, name: str, items: Sequence[bytes], following: str | None, more: Mapping[str, Any] | None = None
) -> Response:
    """A page of a list as a response, with where the next one is: otherwise as it was asked for."""
    headers = {"cache-control": "no-cache"}
    if following is not None:
        asked = [item for item in request.query_params.multi_items() if item[0] != "cursor"]
        headers["link"] = f'<{request.url.path}?{urlencode([*asked, ("cursor", following)])}>; rel="next"'
    return Response(splice(name, items, following, more), 200, headers, "application/json")
