"""Entity tags of snapshots: strong, as each is of its very bytes, with the position that these stand at."""

import hashlib
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from streamproc.watched import live_of

__all__ = ["positions_of", "tagged"]

_TAG: Final = re.compile(r'"([0-9-]+)\.[0-9a-f]+"')


def tagged(request: Request, body: bytes, headers: dict[str, str], position: str | None = None) -> Response:
    """A snapshot as it is served, or 304 where the client has just these bytes.

    Args:
        position: of the job, where the body is something else of it.
    """
    digest = hashlib.blake2b(body, digest_size=8).hexdigest()
    tag = f'"{position or live_of("", body).position}.{digest}"'
    headers["etag"] = tag
    tags = _tags(request)
    if tag in tags or tags == ["*"]:  # RFC 9110, 13.1.2
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def positions_of(request: Request) -> set[str] | None:
    """The positions of what the client has; None where it doesn't say."""
    tags = _tags(request)
    return {match[1] for tag in tags if (match := _TAG.fullmatch(tag))} if tags else None


def _tags(request: Request) -> list[str]:
    """The tags of ``If-None-Match``, weak or strong."""
    listed = ",".join(request.headers.getlist("if-none-match")).split(",")
    return [tag for one in listed if (tag := one.strip().removeprefix("W/"))]
