"""Snapshots on their way out get their estimates here. What is known of a kind is kept for some seconds."""

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from streamproc.errors import ServerError
from streamproc.projection import Estimator
from streamproc.store import Store

__all__ = ["Estimates"]

_logger = logging.getLogger("streamproc.gateway")

_FRESH_SECONDS: Final = 5.0
_AGAIN_MS: Final = 250
"""A snapshot that goes to many clients is worked out once in this time."""
_RUNS: Final = 100
_MOST_KINDS: Final = 1000
_MOST_JOBS: Final = 10_000


class _Known(Struct):
    """What is known of a kind, of which runs, and when that was read."""

    learned: Any
    newest: list[bytes]
    read: float


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
        self._store = store
        self._estimator = estimator
        self._kinds: OrderedDict[str, _Known] = OrderedDict()
        self._jobs: OrderedDict[str, _Served] = OrderedDict()
        self._ahead = 0

    async def served(self, job: str, snapshot: bytes) -> bytes:
        """A stored snapshot as it goes out."""
        now = time.time_ns() // 1_000_000 + self._ahead
        last = self._jobs.get(job)
        if last is not None and last.stored == snapshot and now - last.at < _AGAIN_MS:
            return last.served
        kind = self._estimator.kind(snapshot)
        learned = None if kind is None else await self._learned(kind)
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

    async def _learned(self, kind: str) -> Any:
        known = self._kinds.get(kind)
        now = time.monotonic()
        if known is not None and now - known.read < _FRESH_SECONDS:
            return known.learned
        try:
            runs, server_ms = await self._store.runs(kind, _RUNS)
        except ServerError as error:
            _logger.debug("the runs of kind %s can't be read: %s", kind, error)
            return known.learned if known is not None else None  # less is known, but the snapshot goes out
        self._ahead = server_ms - time.time_ns() // 1_000_000
        if known is None or known.newest != runs:
            known = self._kinds[kind] = _Known(self._estimator.learn(runs), runs, now)
        known.read = now
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)
        return known.learned
