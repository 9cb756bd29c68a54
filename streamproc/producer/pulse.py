"""Heartbeats: that a job that has nothing to report still has a worker."""

from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from streamproc.events import Event

if TYPE_CHECKING:
    from streamproc.producer.target import Target

__all__ = ["Pulse"]


class Pulse:
    """The jobs that have begun here, and which of them are silent. Not safe for threads: the outbox's lock is.

    A job that its worker has forgotten, without an end, has no heartbeat any more.

    Args:
        interval: seconds between two rounds; a job that said nothing from one to the next gets a heartbeat. 0: none.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval or float("inf")
        self._jobs: WeakValueDictionary[str, Target] = WeakValueDictionary()
        self._silent: set[str] = set()
        self.due = float("inf")

    def begin(self, job: "Target", lease_seconds: float | None = None) -> None:
        """A job that has begun. A lease is renewed twice while it lasts, and some more."""
        self._jobs[job._job] = job
        if lease_seconds is not None:
            self._interval = min(self._interval, lease_seconds / 5)
        self.due = min(self.due, monotonic() + self._interval)

    def end(self, job: "Target") -> None:
        if self._jobs.get(job._job) is job:
            del self._jobs[job._job]

    def spoke(self, job: str) -> None:
        self._silent.discard(job)

    def beat(self) -> list[Event]:
        """The heartbeats of a round that is due."""
        return [job._event("job.heartbeat") for name in self._silent if (job := self._jobs.get(name)) is not None]

    def begin_round(self, time: float) -> None:
        """The next round, to which the heartbeats of the last one are no news."""
        self._silent = set(self._jobs)
        self.due = time + self._interval if self._silent else float("inf")
