"""Snapshots on their way out get their estimates here."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from streamproc.kinds import Kinds
from streamproc.projection import Estimator
from streamproc.store import Store

__all__ = ["Estimates"]

_FRESH_SECONDS: Final = 5.0
_AGAIN_MS: Final = 250
"""A snapshot that goes to many clients is worked out once in this time."""
_MOST_JOBS: Final = 10_000


class _Served(Struct):
    """How a job was served last."""

    stored: bytes
    at: int
    served: bytes
    shown: Any


class Estimates:
    """The estimates of a namespace's jobs.

    Args:
        store: where the runs of kinds are.
        estimator: what makes estimates of them.
    """

    def __init__(self, store: Store, estimator: Estimator) -> None:
        self._estimator = estimator
        self._kinds = Kinds(store, estimator.learn, _FRESH_SECONDS)
        self._jobs: OrderedDict[str, _Served] = OrderedDict()

    async def served(self, job: str, snapshot: bytes) -> bytes:
        """A stored snapshot as it goes out."""
        now = time.time_ns() // 1_000_000 + self._kinds.ahead
        last = self._jobs.get(job)
        if last is not None and last.stored == snapshot and now - last.at < _AGAIN_MS:
            return last.served
        kind = self._estimator.kind(snapshot)
        learned = None if kind is None else await self._kinds.learned(kind)
        shown = None if last is None else last.shown
        served, shown = self._estimator.served(snapshot, learned, now, shown)
        self._jobs[job] = _Served(snapshot, now, served, shown)
        self._jobs.move_to_end(job)
        if len(self._jobs) > _MOST_JOBS:
            self._jobs.popitem(last=False)
        return served

    async def all_served(self, jobs: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Many, in their order."""
        return [await self.served(job, snapshot) for job, snapshot in jobs]
