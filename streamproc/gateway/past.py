"""``GET /v1/jobs/{id}?at=``: a job as it was."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidPosition, PastGone, PastPending, UnknownJob
from streamproc.gateway.backend import Opened
from streamproc.gateway.identity import check_seen
from streamproc.gateway.parameters import invalid
from streamproc.gateway.polling import while_there
from streamproc.gateway.problems import Problem
from streamproc.gateway.tags import tagged
from streamproc.position import key, rfc3339
from streamproc.watched import Place, live_of

__all__ = ["get_past"]

_Instant = Annotated[datetime, Meta(tz=True)]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 2**64 - 1
_DAY: Final = 86_400


async def get_past(request: Request, opened: Opened, job: str) -> Response:
    """A job's snapshot as it was, but for its estimate, which isn't kept: null.

    What lies before the job's latest event doesn't change any more, and says so.
    """
    text = request.query_params["at"]
    end = _place(text)
    [(life, stored)] = await opened.store.current([job])
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    try:
        snapshot = await while_there(request, lambda: opened.past.snapshot(job, life, stored, end))
    except PastGone as error:
        raise Problem(410, "past-gone", str(error), parameter="at") from error
    except PastPending as error:
        raise Problem(503, "past-pending", str(error), {"retry-after": "1"}) from error
    if snapshot is None:
        raise UnknownJob(f"there was no job {job} yet at {text}")
    settled = end <= live_of(life, stored).place
    headers = {"cache-control": f"private, max-age={_DAY}, immutable" if settled else "no-cache"}
    return tagged(request, snapshot, headers)


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
