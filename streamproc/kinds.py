"""What is learned of kinds of jobs by their runs, kept for some seconds."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from anyio import to_thread
from msgspec import Struct

from streamproc.errors import ServerError
from streamproc.store import Store

__all__ = ["Kinds", "Known"]

_logger = logging.getLogger("streamproc.kinds")

_RUNS: Final = 100
_MOST_KINDS: Final = 1000


class Known(Struct):
    """What is known of a kind, of which runs, and when that was read."""

    learned: Any
    newest: list[bytes]
    read: float


class Kinds:
    """What is known of the kinds of a namespace's jobs.

    Args:
        store: where their runs are.
        learn: makes of runs, the oldest first, what is known of their kind.
        fresh_seconds: how long that holds until the runs are read again.
    """

    def __init__(self, store: Store, learn: Callable[[Sequence[bytes]], Any], fresh_seconds: float) -> None:
        self.ahead = 0
        """How far the server's clock is ahead of ours, in ms, by the last reading."""
        self._store = store
        self._learn = learn
        self._fresh_seconds = fresh_seconds
        self._kinds: OrderedDict[str, Known] = OrderedDict()
        self._learning = anyio.Lock()

    async def learned(self, kind: str) -> Any:
        """What is known of a kind; None where that can't be read, and never could."""
        known = self.fresh(kind)
        if known is None:
            async with self._learning:  # many ask at once, and one of them reads
                known = await self._refreshed(kind)
        return None if known is None else known.learned

    def fresh(self, kind: str) -> Known | None:
        """What is known of a kind, where that needn't be read again."""
        known = self._kinds.get(kind)
        return known if known is not None and self._is_fresh(known) else None

    def _is_fresh(self, known: Known) -> bool:
        return time.monotonic() - known.read < self._fresh_seconds

    async def _refreshed(self, kind: str) -> Known | None:
        known = self._kinds.get(kind)
        if known is not None and self._is_fresh(known):
            return known
        try:
            runs, server_ms = await self._store.runs(kind, _RUNS)
        except ServerError as error:
            _logger.debug("the runs of kind %s can't be read: %s", kind, error)
            return known
        self.ahead = server_ms - time.time_ns() // 1_000_000
        if known is None or known.newest != runs:
            # In a thread: a hundred runs take a tenth of a second, and others are served meanwhile.
            learned = await to_thread.run_sync(self._learn, runs)
            known = self._kinds[kind] = Known(learned, runs, 0.0)
        known.read = time.monotonic()
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)
        return known
