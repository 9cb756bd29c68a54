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
_MOST_JOBS: Final = 10_000
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of the snapshots that are kept as they were stored and as they went out: one may have hundreds of KiB."""


class _Served(Struct):
    """How a job was served last: what was stored of it, and what went out."""

    stored: bytes
    served: bytes
    last: Any

    @property
    def size(self) -> int:
        return len(self.stored) + len(self.served)


class Estimates:
    """The estimates of a namespace's jobs.

    Args:
        store: where the runs of kinds are.
        estimator: what makes estimates of them.

    Attributes:
        kept_bytes: of the snapshots that were served last.
    """

    def __init__(self, store: Store, estimator: Estimator) -> None:
        self._estimator = estimator
        self._kinds = Kinds(store, estimator.learn, _FRESH_SECONDS)
        self._jobs: OrderedDict[str, _Served] = OrderedDict()
        self.kept_bytes = 0

    async def served(self, job: str, snapshot: bytes) -> bytes:
        """A stored snapshot as it goes out."""
        served = self.at_once(job, snapshot)
        if served is None:
            kind = self._estimator.kind(snapshot)
            learned = None if kind is None else await self._kinds.learned(kind)
            served = self._estimated(job, snapshot, learned)
        return served

    def at_once(self, job: str, snapshot: bytes) -> bytes | None:
        """The same; None where what is known of its kind must be read first."""
        before = self._jobs.get(job)
        if before is not None:
            served = self._estimator.again(snapshot, self._now(), before.last)
            if served is not None:
                if before.stored != snapshot:
                    self._keep(job, _Served(snapshot, served, before.last))
                    return served
                return before.served  # the same bytes for all clients
        kind = self._estimator.kind(snapshot)
        known = None if kind is None else self._kinds.fresh(kind)
        if kind is not None and known is None:
            return None
        return self._estimated(job, snapshot, None if known is None else known.learned)

    def _now(self) -> int:
        return time.time_ns() // 1_000_000 + self._kinds.ahead

    def _estimated(self, job: str, snapshot: bytes, learned: Any) -> bytes:
        before = self._jobs.get(job)
        served, last = self._estimator.served(snapshot, learned, self._now(), None if before is None else before.last)
        self._keep(job, _Served(snapshot, served, last))
        return served

    def _keep(self, job: str, served: _Served) -> None:
        before = self._jobs.pop(job, None)
        self.kept_bytes += served.size - (0 if before is None else before.size)
        self._jobs[job] = served
        while len(self._jobs) > _MOST_JOBS or self.kept_bytes > _MOST_BYTES:
            _, gone = self._jobs.popitem(last=False)
            self.kept_bytes -= gone.size

    async def all_served(self, jobs: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Many, in their order."""
        return [await self.served(job, snapshot) for job, snapshot in jobs]
