"""What somebody asks of the jobs of this process, learnt in the background."""

import threading
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Final

__all__ = ["Wishes"]

_FIRST_SECONDS: Final = 0.5


class Wishes:
    """The wishes of the jobs that ask for them; the sender's thread keeps them fresh.

    Args:
        interval: seconds between two looks at the server.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a fork."""
        self._changed = threading.Condition(threading.RLock())
        self._known: dict[str, str | None] = {}
        self._asked: set[str] = set()
        self._due = float("inf")
        self._closed = False

    def watch(self, job: str) -> bool:
        """Keep a job's wish fresh from now on. Whether that is new."""
        with self._changed:
            if job in self._asked:
                return False
            self._asked.add(job)
            self._due = monotonic()
            return True

    def forget(self, job: str) -> None:
        with self._changed:
            self._asked.discard(job)
            self._known.pop(job, None)

    def of(self, job: str) -> str | None:
        """The wish as it was last seen."""
        return self._known.get(job)

    def wait_first(self, job: str) -> None:
        """Wait for the first look, half a second at most: the server may be gone."""
        with self._changed:
            self._changed.wait_for(lambda: job in self._known or self._closed, _FIRST_SECONDS)

    def wait_for(self, job: str, wishes: Collection[str]) -> str | None:
        """Wait for one of these wishes. None where the connection is closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._known.get(job) in wishes or self._closed)
            return None if self._closed else self._known.get(job)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # What the sender does ----------------------------------------------------------------------------------------

    def due(self) -> float:
        """The `time.monotonic` of the next look; infinite where nobody asks."""
        with self._changed:
            return self._due

    def to_ask(self) -> list[str]:
        """The jobs to look at, where it is time. The next look is one interval on."""
        with self._changed:
            if monotonic() < self._due:
                return []
            self._due = monotonic() + self._interval if self._asked else float("inf")
            return list(self._asked)

    def update(self, seen: Mapping[str, str | None]) -> None:
        with self._changed:
            self._known.update((job, wish) for job, wish in seen.items() if job in self._asked)
            self._changed.notify_all()
