"""The jobs that are slow for their kind, kept for some seconds: they are looked for once in that time."""

import time
from collections.abc import Sequence
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from streamproc.gateway.summaries import Summaries
from streamproc.projection import Estimator
from streamproc.runs import Runs
from streamproc.store import Store

__all__ = ["Found", "Late", "Overdue"]

_FRESH_SECONDS: Final = 5.0
_REST: Final = 10
"""Where to look takes long, as there are very many kinds, it is done for a tenth of the time at most."""
_WORKING: Final = ("started", "running")
_AT_ONCE: Final = 100
_MOST_LOOKED_AT: Final = 2000
"""Snapshots that are read to find out; a job's start alone doesn't tell of pauses."""


class Late(Struct, frozen=True):
    """A job that is slow, and how slow."""

    job: str
    kind: str
    slow: dict[str, Any]


class Found(Struct, frozen=True):
    """Slow jobs, the slowest for its kind first, and whether these are all."""

    late: list[Late]
    complete: bool


class Overdue:
    """The slow jobs of a namespace.

    Args:
        runs: where kinds and their jobs are.
        store: where snapshots are.
        summaries: of the kinds.
        estimator: tells what is slow.
    """

    def __init__(self, runs: Runs, store: Store, summaries: Summaries, estimator: Estimator) -> None:
        self._runs = runs
        self._store = store
        self._summaries = summaries
        self._estimator = estimator
        self._kept = Found([], True)
        self._stale = 0.0
        self._one_at_a_time = anyio.Lock()

    async def found(self) -> Found:
        """The slow jobs, as of some seconds ago at most. Raises `ServerError`."""
        async with self._one_at_a_time:
            began = time.monotonic()
            if began >= self._stale:
                self._kept = await self._look()
                ended = time.monotonic()
                self._stale = ended + max(_FRESH_SECONDS, _REST * (ended - began))
            return self._kept

    async def _look(self) -> Found:
        kinds = await self._runs.kinds()
        late: list[Late] = []
        complete = True
        looked_at = 0
        for at in range(0, len(kinds), _AT_ONCE):
            working = await self._working(kinds[at : at + _AT_ONCE])
            summaries = dict(zip(working, await self._summaries.brief(working), strict=True))
            limits = {kind: self._estimator.slow_after(summary) for kind, summary in summaries.items()}
            now = await self._runs.now()
            moments = {kind: now - round(1000 * after) for kind, after in limits.items() if after is not None}
            started, is_all = await self._runs.started_before(moments, _WORKING)
            some = started[: _MOST_LOOKED_AT - looked_at]
            looked_at += len(some)
            complete = complete and is_all and len(some) == len(started)
            late += await self._late([(job, kind) for _, kind, job in some], summaries, now)
        late.sort(key=lambda each: (-(each.slow["times"] or float("inf")), each.job))
        return Found(late, complete)

    async def _working(self, kinds: Sequence[str]) -> list[str]:
        counts = await self._runs.counts(kinds, _WORKING)
        return [kind for kind, count in zip(kinds, counts, strict=True) if any(count.values())]

    async def _late(self, jobs: Sequence[tuple[str, str]], summaries: dict[str, Struct], now: int) -> list[Late]:
        late = []
        for at in range(0, len(jobs), _AT_ONCE):
            some = jobs[at : at + _AT_ONCE]
            snapshots = await self._store.current([job for job, _ in some])
            for (job, kind), (_, snapshot) in zip(some, snapshots, strict=True):
                slow = None if snapshot is None else self._estimator.slow(summaries[kind], snapshot, now)
                if slow is not None:
                    late.append(Late(job, kind, msgspec.to_builtins(slow)))
        return late
