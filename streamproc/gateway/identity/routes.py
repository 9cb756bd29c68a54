"""Other ways to say who one is, for what can't send a header: sessions, tickets, share links."""

import math
import time
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.auth import Auth
from streamproc.errors import UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.bodies import media_type, read_body
from streamproc.gateway.identity.head import COOKIE
from streamproc.gateway.identity.model import Identity
from streamproc.gateway.identity.seen import check_seen, identity_of
from streamproc.gateway.identity.signed import TICKET_SECONDS, sign
from streamproc.gateway.parameters import job_of
from streamproc.gateway.problems import Problem

__all__ = ["Link", "ShareRequest", "Ticket", "delete_session", "post_session", "post_share", "post_ticket"]

_JSON: Final = "application/json"
_HEADERS: Final = {"cache-control": "no-store"}
_DAY: Final = 86_400


class ShareRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a share link holds, in seconds."""

    expires_in: Annotated[int, Meta(ge=1, le=30 * _DAY)] = _DAY


class Link(Struct, frozen=True):
    """A share link: its token, where it leads, and when it ends."""

    share: str
    url: str
    expires_at: str


class Ticket(Struct, frozen=True):
    """A ticket for one request, as ``?ticket=``, and the seconds within which it may be used."""

    ticket: str
    expires_in: int


async def post_session(request: Request) -> Response:
    """Let a browser carry who asks in a cookie, that its pages can't read."""
    backend: Backend = request.app.state.backend
    longest = Auth().session_seconds if backend.auth is None else backend.auth.session_seconds
    token, ends = await sign(backend.get().vault, "session", identity_of(request), longest)
    response = Response(None, 204, _HEADERS)
    response.set_cookie(
        COOKIE,
        token,
        max_age=max(0, math.floor(ends - time.time())),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


async def delete_session(request: Request) -> Response:
    """Take the cookie back."""
    response = Response(None, 204, _HEADERS)
    response.delete_cookie(COOKIE, secure=request.url.scheme == "https", httponly=True, samesite="strict")
    return response


async def post_ticket(request: Request) -> Response:
    """A ticket for one request of who asks: for what can't send a header, as EventSource and WebSocket."""
    backend: Backend = request.app.state.backend
    token, _ = await sign(backend.get().vault, "ticket", identity_of(request), TICKET_SECONDS)
    return Response(msgspec.json.encode(Ticket(token, TICKET_SECONDS)), 201, _HEADERS, _JSON)


async def post_share(request: Request) -> Response:
    """A link by which anybody may read one job, for some time, and no longer than who makes it."""
    backend: Backend = request.app.state.backend
    vault, store = backend.get().vault, backend.get().store
    job = job_of(request)
    wanted = await _wanted(request)
    stored = await store.snapshot(job)
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    maker = identity_of(request)
    guest = Identity(
        name=f"share:{job}",
        via=maker.via,
        scopes=frozenset(("jobs:read",)),
        kinds=maker.kinds,
        owners=maker.owners,
        jobs=(job,),
        expires=maker.expires,
    )
    token, ends = await sign(vault, "share", guest, wanted.expires_in)
    url = f"/v1/jobs/{quote(job, safe='')}?share={token}"
    ends_at = datetime.fromtimestamp(ends, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Response(msgspec.json.encode(Link(token, url, ends_at)), 201, _HEADERS, _JSON)


async def _wanted(request: Request) -> ShareRequest:
    media_type(request, _JSON)
    body = await read_body(request)
    try:
        return msgspec.json.decode(body, type=ShareRequest) if body else ShareRequest()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "invalid-body", f'the body must be JSON such as {{"expires_in": 3600}}: {error}') from None
