"""``GET /v1/jobs``: jobs by what they are, in an order, page by page."""

from fnmatch import fnmatchcase
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from streamproc.filters import ORDERS, STATUSES, Filter
from streamproc.gateway.backend import Backend
from streamproc.gateway.identity import Identity, identity_of
from streamproc.gateway.paging import cursor, pack_cursor, page_of
from streamproc.gateway.parameters import choice, invalid, limit, name, texts
from streamproc.indexes import words_of

__all__ = ["filter_of", "get_jobs"]

_NEWEST: Final = "-created"
_MOST_VALUES: Final = 16
_LONGEST_LABEL: Final = 513
_BOOLEANS: Final = ("true", "false")


async def get_jobs(request: Request) -> Response:
    """Jobs, the newest first unless ``sort`` says otherwise, narrowed by any of the filters together."""
    backend: Backend = request.app.state.backend
    identity = identity_of(request)
    wanted = filter_of(request, identity)
    order = ORDERS[choice(request, "sort", tuple(ORDERS)) or _NEWEST]
    most, after = limit(request), cursor(request)
    counted = choice(request, "counts", _BOOLEANS) == "true"
    opened = backend.get()
    page = await opened.listing.page(wanted, order, after, most)
    served = await opened.estimates.all_served(page.jobs)
    following = None if page.place is None else pack_cursor(request, *page.place)
    more = {}
    if counted:
        more["counts"] = await opened.listing.counts(wanted.kinds, wanted.stalled) if _is_counted(wanted) else None
    return page_of(request, "jobs", served, following, more)


def filter_of(request: Request, identity: Identity) -> Filter:
    """What is asked for, of what the identity may see."""
    statuses = texts(request, "status", _MOST_VALUES, separator=",")
    for status in statuses or ():
        if status not in STATUSES:
            raise invalid("status", f"must be one of {', '.join(STATUSES)}")
    owner = name(request, "owner")
    patterns = identity.jobs
    return Filter(
        statuses=statuses,
        kinds=_allowed(texts(request, "kind", _MOST_VALUES), identity.kinds),
        owners=_allowed(None if owner is None else (owner,), identity.owners),
        labels=_labels(request),
        worker=name(request, "worker"),
        stalled=None if (stalled := choice(request, "stalled", _BOOLEANS)) is None else stalled == "true",
        words=_words(request),
        shows=None if patterns is None else lambda job: any(fnmatchcase(job, pattern) for pattern in patterns),
    )


def _allowed(asked: tuple[str, ...] | None, limits: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if asked is None or limits is None:
        return limits if asked is None else asked
    return tuple(each for each in asked if each in limits)


def _labels(request: Request) -> tuple[tuple[str, str], ...]:
    found = []
    for text in texts(request, "label", _MOST_VALUES, longest=_LONGEST_LABEL) or ():
        label, colon, value = text.partition(":")
        if not colon or not label:
            raise invalid("label", "must be name:value")
        found.append((label, value))
    return tuple(found)


def _words(request: Request) -> tuple[str, ...]:
    text = name(request, "q")
    if text is None:
        return ()
    words = tuple(words_of(text))
    if not words:
        raise invalid("q", "must have a letter or a digit in it")
    return words


def _is_counted(wanted: Filter) -> bool:
    """Whether counts of just these jobs are kept, whatever their status: by kind, and by whether they are stalled."""
    return (wanted.owners, wanted.labels, wanted.worker, wanted.words, wanted.shows) == (None, (), None, (), None)
