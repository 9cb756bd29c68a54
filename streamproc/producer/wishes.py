"""What somebody asks of the jobs of this process, learnt in the background."""

import logging
import threading
from collections.abc import Callable, Collection
from typing import Final, Protocol

__all__ = ["Listener", "Wishes"]

_FIRST_SECONDS: Final = 0.5

_log = logging.getLogger("streamproc")


class Listener(Protocol):
    """Follows jobs, and tells `Wishes.update` what is asked of them."""

    def start(self) -> None:
        """Begin, in a thread of its own. Raises `RuntimeError` where the system gives none."""

    def changed(self) -> None:
        """The jobs to follow are others now. Any thread may call it."""

    def stop(self) -> None:
        """End, within a second or so."""


class Wishes:
    """The wishes of the jobs that want to know them.

    Args:
        make_listener: of these wishes; called when the first job wants to know.
    """

    def __init__(self, make_listener: Callable[["Wishes"], Listener]) -> None:
        self._make_listener = make_listener
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a fork."""
        self._changed = threading.Condition(threading.RLock())
        self._known: dict[str, str | None] = {}
        self._watched: dict[str, Callable[[str], object] | None] = {}
        self._new: set[str] = set()
        self._claimed: dict[str, int] = {}
        self._listener: Listener | None = None
        self._closed = False

    # What jobs do ------------------------------------------------------------------------------------------------

    def watch(self, job: str, told: Callable[[str], object] | None = None) -> None:
        """Know a job's wish from now on, and call `told` with each new one, in the listener's thread."""
        with self._changed:
            if self._closed or (job in self._watched and told is None):
                return
            if job not in self._watched:
                self._new.add(job)
            self._watched[job] = told
            self._tell_listener()

    def hold(self, job: str, attempt: int) -> None:
        """A job is ours by a claim, and to be stopped where we have lost that."""
        with self._changed:
            self._claimed[job] = attempt

    def forget(self, job: str) -> None:
        with self._changed:
            self._claimed.pop(job, None)
            self._new.discard(job)
            self._known.pop(job, None)
            if job in self._watched:
                del self._watched[job]
                self._tell_listener()

    def of(self, job: str) -> str | None:
        """The wish as it was last seen."""
        return self._known.get(job)

    def wait_first(self, job: str) -> None:
        """Wait once for the first look, half a second at most: the server may be gone."""
        if job in self._new:
            with self._changed:
                self._changed.wait_for(lambda: job in self._known or self._closed, _FIRST_SECONDS)
                self._new.discard(job)

    def first_is_awaited(self, job: str) -> bool:
        """Whether a job's wish isn't known, and nobody has waited for it."""
        return job in self._new and job not in self._known and not self._closed

    def waited_first(self, job: str) -> None:
        """The first look has been waited for, whatever came of it."""
        self._new.discard(job)

    def wait_for(self, job: str, wishes: Collection[str]) -> str | None:
        """Wait for one of these wishes. None where the connection is closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self.found(job, wishes))
            return None if self._closed else self._known.get(job)

    def found(self, job: str, wishes: Collection[str]) -> bool:
        """Whether a wait for one of these is over."""
        return self._known.get(job) in wishes or self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            listener = self._listener
        if listener is not None:
            listener.stop()

    def _tell_listener(self) -> None:
        if self._listener is not None:
            self._listener.changed()
            return
        listener = self._make_listener(self)
        try:
            listener.start()
        except RuntimeError as error:
            _log.warning("no thread to listen with, so nothing that is asked of jobs is heard: %s", error)
        else:
            self._listener = listener

    # What the listener does --------------------------------------------------------------------------------------

    def watched(self) -> list[str]:
        """The jobs to follow."""
        with self._changed:
            return list(self._watched)

    def has_lost(self, job: str, attempt: int, status: str) -> bool:
        """Whether a job that was ours by a claim is so no more, by what was just seen of it."""
        ours = self._claimed.get(job)
        return ours is not None and (attempt > ours or status == "queued")

    def update(self, job: str, wish: str | None) -> None:
        """What is asked of a job, as it was just seen."""
        with self._changed:
            if job not in self._watched or self._closed:
                return
            told = self._watched[job] if wish != self._known.get(job) else None
            self._known[job] = wish
            self._new.discard(job)
            self._changed.notify_all()
        if told is not None and wish is not None:
            try:
                told(wish)
            except Exception:  # noqa: BLE001  (it is the work's own, and other jobs go on being told)
                _log.exception("what on_request does about %r of job %s failed", wish, job)
