"""What the runs of kinds come to, kept for some seconds: the runs are read, and summed up, once in that time."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct

from streamproc.projection import Estimator
from streamproc.runs import Runs

__all__ = ["Summaries"]

_FRESH_SECONDS: Final = 5.0
_RUNS: Final = 100
_AT_ONCE: Final = 10
"""Kinds whose runs are read together, so that others are served in between."""
_MOST_BRIEF: Final = 1000
_MOST_DETAILS: Final = 100


class _Kept(Struct):
    """A summary, of which runs it is, and when they were read."""

    summary: Struct
    runs: int
    read: float


class Summaries:
    """The summaries of a namespace's kinds.

    Args:
        runs: where the runs are.
        estimator: what sums them up.
    """

    def __init__(self, runs: Runs, estimator: Estimator) -> None:
        self._runs = runs
        self._estimator = estimator
        self._brief: OrderedDict[str, _Kept] = OrderedDict()
        self._details: OrderedDict[str, _Kept] = OrderedDict()
        self._one_at_a_time = anyio.Lock()

    async def brief(self, kinds: Sequence[str]) -> list[Struct]:
        """What is told of every kind. Raises `ServerError`."""
        stale = [kind for kind in kinds if not _fresh(self._brief.get(kind))]
        now = time.monotonic()
        found = {kind: self._brief[kind].summary for kind in kinds if kind in self._brief}
        for at in range(0, len(stale), _AT_ONCE):
            some = stale[at : at + _AT_ONCE]
            latest, _ = await self._runs.latest(some, _RUNS)
            for kind, runs in zip(some, latest, strict=True):
                found[kind] = self._estimator.summary(runs)
                _keep(self._brief, kind, _Kept(found[kind], 0, now), _MOST_BRIEF)
        return [found[kind] for kind in kinds]

    async def details(self, kind: str) -> Struct:
        """What is told of one kind. Raises `ServerError`."""
        async with self._one_at_a_time:
            kept = self._details.get(kind)
            if kept is not None and _fresh(kept):
                return kept.summary
            now = time.monotonic()
            [runs], _ = await self._runs.latest([kind], _RUNS)
            which = hash(tuple(runs))
            if kept is None or kept.runs != which:
                # To foretell each run anew takes up to a second, in which others are served.
                kept = _Kept(await anyio.to_thread.run_sync(self._estimator.details, runs), which, now)
            kept.read = now
            _keep(self._details, kind, kept, _MOST_DETAILS)
            return kept.summary


def _fresh(kept: _Kept | None) -> bool:
    return kept is not None and time.monotonic() - kept.read < _FRESH_SECONDS


def _keep(all_kept: OrderedDict[str, _Kept], kind: str, kept: _Kept, most: int) -> None:
    all_kept[kind] = kept
    all_kept.move_to_end(kind)
    if len(all_kept) > most:
        all_kept.popitem(last=False)
