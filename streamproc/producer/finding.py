"""Finding a job: its snapshot as a gateway serves it, or as it is stored, with an estimate made here."""

import logging
from collections.abc import Callable, Iterator
from time import sleep
from typing import Final

import msgspec

from streamproc.append import Appender
from streamproc.chosen import estimator
from streamproc.errors import ServerError, UnknownJob
from streamproc.producer.found import JobSnapshot, decode_snapshot
from streamproc.producer.sender import Transport

__all__ = ["Looks", "changes", "find"]

_FINAL: Final = ("finished", "failed", "canceled")
_RUNS: Final = 100
"""Of its kind, as a gateway takes them."""

_log = logging.getLogger("streamproc")


def find(transport: Transport, job: str) -> JobSnapshot:
    """A job as it is now.

    Raises:
        UnknownJob: nothing of it has been folded.
        ServerError: the server is gone, refuses us, or holds no snapshot there.
    """
    snapshot = transport.snapshot(job)
    if snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    if isinstance(transport, Appender):
        snapshot = _estimated(transport, snapshot)
    return decode_snapshot(snapshot)


def _estimated(appender: Appender, snapshot: bytes) -> bytes:
    """A stored snapshot with the estimate that a gateway would serve."""
    chosen = estimator()
    try:
        kind = chosen.kind(snapshot)
        if kind is None:
            return chosen.served(snapshot, None, appender.now(), None)[0]
        runs, now = appender.runs(kind, _RUNS)
        return chosen.served(snapshot, chosen.learn(runs), now, None)[0]
    except (ServerError, msgspec.DecodeError) as error:
        _log.debug("no estimate can be made: %s", error)
        return snapshot


class Looks:
    """Looks at a job again and again.

    Args:
        every: how many seconds lie between two looks.

    Attributes:
        ended: the job has.
    """

    def __init__(self, every: float) -> None:
        if not 0 < every < float("inf"):
            raise ValueError(f"every: must be a number of seconds above 0, and is {every}")
        self.ended = False
        self._every = every
        self._seen: str | None = None
        self._lost = False

    @property
    def pause(self) -> float:
        """How many seconds to wait now."""
        return 0.0 if self.ended else self._every

    def look(self, find: Callable[[str], JobSnapshot], job: str) -> JobSnapshot | None:
        """Look; None where nothing has changed, or nobody answers. Raises as `find`, the first time."""
        try:
            found = find(job)
        except (ServerError, UnknownJob) as error:
            if self._seen is None:
                raise
            if not self._lost:
                _log.warning("job %s can't be seen for a while: %s", job, error)
            self._lost = True
            return None
        self._lost = False
        self.ended = found.status in _FINAL
        changed, self._seen = found.position != self._seen, found.position
        return found if changed else None


def changes(find: Callable[[str], JobSnapshot], job: str, every: float) -> Iterator[JobSnapshot]:
    """A job as it is now, and then whenever it has changed, until it has ended."""
    looks = Looks(every)
    while not looks.ended:
        found = looks.look(find, job)
        if found is not None:
            yield found
        sleep(looks.pause)
