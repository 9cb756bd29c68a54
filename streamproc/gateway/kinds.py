"""Kinds of jobs: what is going on of each, how its runs went, and how well they were foretold."""

from bisect import bisect_right
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import UnknownKind
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.identity import identity_of
from streamproc.gateway.paging import cursor, pack_cursor, page_of
from streamproc.gateway.parameters import limit

__all__ = ["get_kind", "get_kinds"]

_ACTIVE: Final = ("queued", "started", "running", "paused")
_BEGUN: Final = _ACTIVE[1:]
_MOST_AVERAGED: Final = 1000
"""Snapshots that are read for the averages of one response."""
_AT_ONCE: Final = 100


class _Job(Struct):
    """What is read of a snapshot."""

    percent: float | None


_decode = msgspec.json.Decoder(_Job).decode


async def get_kinds(request: Request) -> Response:
    """All kinds by name: the active jobs of each, and its runs in short."""
    backend: Backend = request.app.state.backend
    most, after = limit(request), cursor(request)
    opened = backend.get()
    names = [kind for kind in await opened.runs.kinds() if _told(request, kind)]
    start = 0 if after is None else bisect_right(names, after[1])
    page = names[start : start + most]
    following = pack_cursor(request, 0, page[-1]) if start + most < len(names) else None
    summaries = await opened.summaries.brief(page)
    active = await _active(opened, page)
    items = [
        msgspec.json.encode({"kind": kind, **jobs, **msgspec.structs.asdict(summary)})
        for kind, jobs, summary in zip(page, active, summaries, strict=True)
    ]
    return page_of(request, "kinds", items, following)


def _told(request: Request, kind: str) -> bool:
    """Whether who asks may know of a kind. What is told of one is of all its jobs, whoever owns them."""
    identity = identity_of(request)
    return identity.owners is None and identity.jobs is None and (identity.kinds is None or kind in identity.kinds)


async def get_kind(request: Request) -> Response:
    """One kind, with its stages, its latest runs, its waits in the queue, and how often estimates held."""
    backend: Backend = request.app.state.backend
    opened = backend.get()
    kind = request.path_params["kind"]
    if not _told(request, kind) or not await opened.runs.knows(kind):
        raise UnknownKind(f"there are no jobs of kind {kind[:256]!r}")
    [jobs] = await _active(opened, [kind])
    details = msgspec.structs.asdict(await opened.summaries.details(kind))
    body = msgspec.json.encode({"kind": kind, **jobs, **details})
    return Response(body, 200, {"cache-control": "no-cache"}, "application/json")


async def _active(opened: Opened, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """For each kind, how many jobs are active by status, and the average percent of those that have begun.

    The average is of the newest that say how far they are; `average_of` tells how many.
    """
    counts = await opened.runs.counts(kinds, _ACTIVE)
    begun = [kind for kind, count in zip(kinds, counts, strict=True) if any(count[status] for status in _BEGUN)]
    newest = await opened.runs.newest(begun, _BEGUN, max(1, _MOST_AVERAGED // len(kinds))) if begun else []
    percents = await _percents(opened, [job for jobs in newest for job in jobs])
    found = {kind: [percents[job] for job in jobs if job in percents] for kind, jobs in zip(begun, newest, strict=True)}
    return [
        {
            "active": count,
            "average_percent": round(fmean(found[kind]), 2) if found.get(kind) else None,
            "average_of": len(found.get(kind, ())),
        }
        for kind, count in zip(kinds, counts, strict=True)
    ]


async def _percents(opened: Opened, jobs: Sequence[str]) -> dict[str, float]:
    """The percents of the jobs that say how far they are."""
    percents: dict[str, float] = {}
    for at in range(0, len(jobs), _AT_ONCE):
        some = jobs[at : at + _AT_ONCE]
        for job, (_, snapshot) in zip(some, await opened.store.current(some), strict=True):
            percent = None if snapshot is None else _decode(snapshot).percent
            if percent is not None:
                percents[job] = percent
    return percents
