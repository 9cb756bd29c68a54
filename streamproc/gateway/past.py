"""``GET /v1/jobs/{id}?at=``: a job as it was; ``GET /v1/jobs/{id}/estimates``: its way, and what was foretold on it."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidPosition, PastGone, PastPending, UnknownJob
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.identity import check_seen
from streamproc.gateway.parameters import invalid, job_of, whole
from streamproc.gateway.polling import while_there
from streamproc.gateway.problems import Problem
from streamproc.gateway.tags import tagged
from streamproc.position import key, rfc3339
from streamproc.watched import Live, Place, live_of

__all__ = ["get_estimates", "get_past"]

T = TypeVar("T")
_Instant = Annotated[datetime, Meta(tz=True)]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 2**64 - 1
_DAY: Final = 86_400
_POINTS: Final = 200
_MOST_POINTS: Final = 1000


async def get_past(request: Request, opened: Opened, job: str) -> Response:
    """A job's snapshot as it was, with the estimate that was made of it.

    What lies before the job's latest event doesn't change any more, and says so.
    """
    text = request.query_params["at"]
    end = _place(text)
    live = await _seen(request, opened, job)
    snapshot = await _looked_back(request, lambda: opened.hindsight.snapshot(job, live.incarnation, live.snapshot, end))
    if snapshot is None:
        raise UnknownJob(f"there was no job {job} yet at {text}")
    return tagged(request, snapshot, _caching(end, live))


async def get_estimates(request: Request) -> Response:
    """The way of a job up to where it is, or was: at some moments how far it was, and what was estimated then."""
    backend: Backend = request.app.state.backend
    opened, job = backend.get(), job_of(request)
    points = whole(request, "points", 2, _MOST_POINTS) or _POINTS
    text = request.query_params.get("at")
    end = None if text is None else _place(text)
    live = await _seen(request, opened, job)
    found = await _looked_back(request, lambda: opened.hindsight.way(job, live.incarnation, live.snapshot, end, points))
    if not found:
        raise UnknownJob(f"there was no job {job} yet at {text}")
    body = b'{"estimates":[%b]}' % b",".join(found)
    return tagged(request, body, _caching(end, live), live.position)


async def _seen(request: Request, opened: Opened, job: str) -> Live:
    """A job as it is, for who may see it."""
    [(life, stored)] = await opened.store.current([job])
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    return live_of(life, stored)


async def _looked_back(request: Request, look: Callable[[], Awaitable[T]]) -> T | None:
    try:
        return await while_there(request, look)
    except PastGone as error:
        raise Problem(410, "past-gone", str(error), parameter="at") from error
    except PastPending as error:
        raise Problem(503, "past-pending", str(error), {"retry-after": "1"}) from error


def _caching(end: Place | None, live: Live) -> dict[str, str]:
    settled = end is not None and end <= live.place
    return {"cache-control": f"private, max-age={_DAY}, immutable" if settled else "no-cache"}


def _place(text: str) -> Place:
    """The last place that counts: a position, or all of a millisecond."""
    if re.fullmatch(r"[0-9]+-[0-9]+", text):
        try:
            return key(text)
        except InvalidPosition as error:
            raise invalid("at", str(error)) from None
    try:
        instant = msgspec.convert(text, _Instant)
    except msgspec.ValidationError:
        raise invalid(
            "at", f"must be a position, or an RFC 3339 time such as {rfc3339(1_763_750_000_000)}; write its + as %2B"
        ) from None
    return ((instant - _EPOCH) // timedelta(milliseconds=1), _LAST)
