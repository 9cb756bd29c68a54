"""What waits to be sent: every lifecycle event in its order, and of progress the latest.

Two places hold it. The **queue** has events in the order in which they go out; nothing overtakes in it, and an
event gets its `seq` when it leaves for the first time, so that per job the order of sending is the order of `seq`.
**Held** is a job's progress that may still be replaced: per target only the latest. It goes into the queue when
the job's interval is over, or just before a lifecycle event of the job.

When the memory for it is full, progress is only held, or dropped where it would have to go into the queue; counts are
summed up; lifecycle events are kept, all of them: in a temporary file, where the queue goes on.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from streamproc.events import MAX_NUMBER, Event
from streamproc.producer.pulse import Pulse
from streamproc.producer.queue import Queue

if TYPE_CHECKING:
    from streamproc.producer.target import Target

__all__ = ["Outbox"]

_HELD_BYTES: Final = 1024
"""Bytes that a held event is counted as: it isn't encoded yet."""
_SAMPLE_SECONDS: Final = 0.05

_log = logging.getLogger("streamproc")


class _Held(Struct):
    """A job's progress that may still be replaced, the latest last, and when it goes into the queue.

    While there is any, a later report is held too, lest the earlier one comes after it.
    """

    due: float = 0.0
    events: dict[str, Event] = {}


class Outbox:
    """Events of any number of threads, for one sender.

    Args:
        min_interval: seconds between two reports of progress of the same target; 0 sends each.
        max_bytes: memory for what waits, beyond which only lifecycle events are queued, on disk.
        start: called when there is something to send for the first time, to start the sender; whether that worked.
        heartbeat_interval: see `Pulse`.
    """

    def __init__(
        self, min_interval: float, max_bytes: int, start: Callable[[], bool], heartbeat_interval: float = 0
    ) -> None:
        self._start = start
        self._interval = min_interval
        self._max_bytes = max_bytes
        self._heartbeat_interval = heartbeat_interval
        self._between_samples = min_interval / 2 or _SAMPLE_SECONDS
        self.reset()

    def reset(self) -> None:
        """Begin anew, as another producer session: what waits is somebody else's, as after a fork."""
        self._lock = threading.RLock()
        self._ready = threading.Condition(self._lock)
        self._busy = False
        self._said: deque[tuple[_How, str, Event]] = deque()  # while this thread was busy
        self._queue = Queue()
        self._held: dict[str, _Held] = {}
        self._holding = 0
        self._pulse = Pulse(self._heartbeat_interval)
        self._loops: dict[Target, None] = {}
        self._next_sample = float("inf")
        self.coalesced = 0
        self._trouble = False
        self._started = False
        self._idle = True
        self._hurry = False
        self._closed = False
        self._told = False

    # What the work says ------------------------------------------------------------------------------------------

    def keep(self, event: Event) -> None:
        """A lifecycle event: what is held of its job goes first, and it is never dropped."""
        self._say(Outbox._keep, "", event)

    def each(self, target: str, event: Event) -> None:
        """A count or a note: each is sent while there is room; then counts are summed up, and the latest note kept."""
        self._say(Outbox._each, target, event)

    def latest(self, target: str, event: Event) -> None:
        """Progress of a target: replaces what is held of it."""
        self._say(Outbox._latest, target, event)

    def begin(self, job: "Target", lease_seconds: float | None = None) -> None:
        """A job that is worked on here from now on, and has a heartbeat; one often enough for a lease."""
        with self._lock:
            self._pulse.begin(job, lease_seconds)
            if lease_seconds is not None:
                self._ring()

    def end(self, job: "Target") -> None:
        """A job that is worked on no more: nothing is remembered of it."""
        with self._lock:
            self._pulse.end(job)
            held = self._held.get(job._job)
            if held is not None and not held.events and not self._busy:
                del self._held[job._job]

    def sample(self, target: "Target") -> None:
        """Look now and then how far the loop of a target is."""
        with self._lock:
            if not self._loops:
                self._next_sample = monotonic() + self._between_samples
            self._loops[target] = None
            self._ring()

    def sample_no_more(self, target: "Target") -> None:
        with self._lock:
            self._loops.pop(target, None)

    def _say(self, how: "_How", target: str, event: Event) -> None:
        """Take in an event; later, where this thread is in the middle of another.

        A signal's handler or a finalizer may report anywhere in here: that comes after what it interrupted.
        """
        with self._lock:
            if self._busy or self._said:
                self._said.append((how, target, event))
            else:
                self._busy = True
                try:
                    how(self, target, event)
                finally:
                    self._busy = False
            if self._said:
                self._catch_up()

    def _catch_up(self) -> None:
        while self._said and not self._busy:
            with self._alone():
                while self._said:
                    how, target, event = self._said.popleft()
                    how(self, target, event)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _keep(self, target: str, event: Event) -> None:
        held = self._held.get(event.job)
        if held is not None and held.events:
            if self._full():
                self._drop_progress(held)
                del self._held[event.job]
            self._settle(held)
        self._push(event)

    def _each(self, target: str, event: Event) -> None:
        held = self._held.get(event.job)
        if self._full() or (held is not None and target in held.events):
            self._hold(target, event)
        else:
            self._push(event)

    def _latest(self, target: str, event: Event) -> None:
        held = self._held.get(event.job)
        if self._interval or self._full() or (held is not None and held.events):
            self._hold(target, event)
        else:
            self._push(event)

    def _full(self) -> bool:
        return self._queue.bytes + self._holding >= self._max_bytes

    def _hold(self, target: str, event: Event) -> None:
        if self._closed:
            self._push(event)
            return
        held = self._held.get(event.job)
        if held is None:
            held = self._held[event.job] = _Held()
        events = held.events
        if events:
            before = events.pop(target, None)  # so that the latest report is the last to be folded
            if before is not None:
                _merge(event, before)
                self.coalesced += 1
                self._holding -= _HELD_BYTES
            events[target] = event
        else:
            events[target] = event
            self._ring()
        self._holding += _HELD_BYTES
        if self._holding >= self._max_bytes // 2:
            self._settle_all()  # a million jobs may each hold one: the queue goes on on disk
            self._held.clear()

    def _drop_progress(self, held: _Held) -> None:
        counts = {target: event for target, event in held.events.items() if event.type == "job.counted"}
        dropped = len(held.events) - len(counts)
        self.coalesced += dropped
        self._holding -= dropped * _HELD_BYTES
        held.events = counts

    def _settle(self, held: _Held) -> None:
        """Queue what is held."""
        for target, event in list(held.events.items()):
            self._push(event)
            del held.events[target]
            self._holding -= _HELD_BYTES

    def _settle_all(self) -> None:
        for held in self._held.values():
            self._settle(held)

    def _push(self, event: Event) -> None:
        if self._closed:
            if not self._told:
                self._told = True
                _log.warning(
                    "%s of job %s comes after close, and is not sent; this is said once", event.type, event.job
                )
            return
        self._queue.put(event, full=self._full())
        self._pulse.spoke(event.job)
        if self._idle:
            self._ring()

    def _ring(self) -> None:
        if self._idle:
            if not self._started:
                self._started = self._start()
            self._idle = not self._started
            self._ready.notify_all()

    # What the sender does ----------------------------------------------------------------------------------------

    def take(self) -> list[tuple[str, bytes]] | None:
        """Wait for events to send; the same again until they are confirmed.

        Returns:
            Up to 1,000 payloads of about 1 MiB, each with its job id; none where somebody is in a hurry and nothing
            waits; None when closed.
        """
        with self._lock:
            while not self._closed:
                self._catch_up()
                time = monotonic()
                self._look_around(time)
                with self._alone():
                    due = self._release(time)
                    self._queue.fill()
                if self._queue.sending or self._hurry:
                    self._hurry = False
                    return self._queue.sending
                self._idle = True
                due = min(due, self._next_sample, self._pulse.due)
                self._ready.wait(min(due - time, threading.TIMEOUT_MAX))
                self._idle = False
            return None

    def _look_around(self, time: float) -> None:
        """See how far loops are, and which jobs are silent, where it is time."""
        if time >= self._next_sample:
            for target in list(self._loops):
                target._sample()
            self._next_sample = time + self._between_samples if self._loops else float("inf")
        if time >= self._pulse.due:
            if not self._trouble:  # nobody needs to know later that it was alive then
                for heartbeat in self._pulse.beat():
                    self._push(heartbeat)
            self._pulse.begin_round(time)

    def _release(self, time: float) -> float:
        """Queue the held progress whose time has come. Returns when the next comes."""
        upcoming = float("inf")
        if self._queue.has_a_batch or self._full():
            return upcoming  # it can't go out now; held, it may still be replaced
        for job, held in list(self._held.items()):
            if held.due > time:
                if held.events:
                    upcoming = min(upcoming, held.due)
            elif held.events:
                self._settle(held)
                held.due = time + self._interval
            else:
                del self._held[job]
        return upcoming

    def confirm(self, refused: Collection[int] = ()) -> None:
        """What was taken last is in the log, but for the entries at these places, which are taken again."""
        with self._lock, self._alone():
            self._queue.confirm(refused)
            self._trouble = bool(refused)
            self._ready.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait before another try, unless somebody is in a hurry: `flush` and `close` end it."""
        with self._lock:
            self._trouble = True
            self._ready.notify_all()
            if not self._hurry:
                self._ready.wait(seconds)
            self._hurry = False

    # What the owner does -----------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many events are not in the log."""
        with self._lock:
            return self._pending() + sum(len(held.events) for held in self._held.values())

    def _pending(self) -> int:
        return len(self._said) + len(self._queue)

    def hasten(self) -> int:
        """Let what was said so far go out now. Returns the goal for `missing` and `settled`."""
        with self._lock:
            if not self._busy:
                with self._alone():
                    self._settle_all()
                self._catch_up()
            self._wake()
            return self._queue.delivered + self._pending()

    def goal(self) -> int:
        """The same for a job's end, which has just let go what was held of the job; what others hold may wait."""
        with self._lock:
            if not self._trouble:
                self._wake()
            return self._queue.delivered + self._pending()

    def missing(self, goal: int) -> int:
        """How many events up to a goal are not in the log."""
        return max(0, goal - self._queue.delivered)

    def settled(self, goal: int) -> bool:
        """Whether there is no use in waiting for a goal: it is reached, or the server is known to be gone."""
        return self._queue.delivered >= goal or self._trouble or self._closed or not self._started

    def flush(self, timeout: float) -> int:
        """Wait until what was said so far is in the log. Returns how many events are not."""
        with self._lock:
            goal = self.hasten()
            self._wait(lambda: self._queue.delivered >= goal, timeout)
            return self.missing(goal)

    def settle(self, timeout: float) -> None:
        """Wait until a job's end is in the log, but not while the server is known to be gone."""
        with self._lock:
            goal = self.goal()
            self._wait(lambda: self.settled(goal), timeout)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        if not self._busy:  # else this is a signal's handler: a wait would let other threads into what it interrupted
            self._ready.wait_for(condition, min(timeout, threading.TIMEOUT_MAX))

    def _wake(self) -> None:
        """Let the sender look at once, whatever it waits for."""
        self._hurry = True
        self._ring()
        self._ready.notify_all()

    def close(self) -> None:
        """Give the sender its leave; what still waits is not sent any more."""
        with self._lock:
            self._closed = self._hurry = True
            self._queue.close()
            self._ready.notify_all()


def _merge(event: Event, before: Event) -> None:
    """Put into a later report what it leaves unsaid, so that folding it alone gives what folding both would."""
    if event.message is None:
        event.message = before.message
    if event.details is None:
        event.details = before.details
    if event.type == "job.counted":
        event.done = min((event.done or 0) + (before.done or 0), MAX_NUMBER)
        event.total = min((event.total or 0) + (before.total or 0), MAX_NUMBER)


_How = Callable[[Outbox, str, Event], None]
