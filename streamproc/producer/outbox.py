"""What waits to be sent: every lifecycle event in its order, and of progress the latest.

Two places hold it. The **queue** has events in the order in which they go out; nothing overtakes in it, and an
event gets its `seq` when it leaves for the first time, so that per job the order of sending is the order of `seq`.
**Held** is a job's progress that may still be replaced: per target only the latest. It goes into the queue when
the job's interval is over, or just before a lifecycle event of the job.

When the buffer is full, progress is only held, or dropped where it would have to go into the queue; counts are summed
up; lifecycle events are kept, all of them.
"""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

from msgspec import Struct

from streamproc.events import MAX_NUMBER, Event
from streamproc.wire import encode

__all__ = ["BATCH_EVENTS", "Outbox"]

BATCH_EVENTS: Final = 1000
BATCH_BYTES: Final = 1024 * 1024
_OVERHEAD: Final = 256
"""Bytes that an event takes in memory beyond its payload."""

_log = logging.getLogger("streamproc")


class _Waiting(Struct, gc=False):
    """An event in the queue: its payload, and where in it `src` and `seq` go."""

    job: str
    body: bytes
    at: int


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
        max_bytes: memory for what waits, beyond which only lifecycle events are queued.
        start: called when there is something to send for the first time, to start the sender; whether that worked.
    """

    def __init__(self, min_interval: float, max_bytes: int, start: Callable[[], bool]) -> None:
        self._start = start
        self._interval = min_interval
        self._max_bytes = max_bytes
        self.reset()

    def reset(self) -> None:
        """Begin anew, as another producer session: what waits is somebody else's, as after a fork."""
        # Reentrant, as a signal's handler may report progress while this thread is in here.
        self._ready = threading.Condition(threading.RLock())
        self._src = secrets.token_hex(6)
        self._seq = 0
        self._queue: deque[_Waiting] = deque()
        self._held: dict[str, _Held] = {}
        self._sending: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._accepted = 0
        self._delivered = 0
        self._started = False
        self._idle = True
        self._hurry = False
        self._closed = False
        self._told = False

    # What the work says ------------------------------------------------------------------------------------------

    def keep(self, event: Event) -> None:
        """A lifecycle event: what is held of its job goes first, and it is never dropped."""
        with self._ready:
            held = self._held.get(event.job)
            if held is not None and held.events:
                if self._full():
                    held.events = {target: said for target, said in held.events.items() if said.type == "job.counted"}
                self._settle(held)
            self._push(event)

    def each(self, target: str, event: Event) -> None:
        """A count or a note: each is sent while there is room; then counts are summed up, and the latest note kept."""
        with self._ready:
            held = self._held.get(event.job)
            if self._full() or (held is not None and target in held.events):
                self._hold(target, event)
            else:
                self._push(event)

    def latest(self, target: str, event: Event) -> None:
        """Progress of a target: replaces what is held of it."""
        with self._ready:
            held = self._held.get(event.job)
            if self._interval or self._full() or (held is not None and held.events):
                self._hold(target, event)
            else:
                self._push(event)

    def _full(self) -> bool:
        return self._bytes >= self._max_bytes

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
            events[target] = event
        else:
            events[target] = event
            self._ring()

    def _settle(self, held: _Held) -> None:
        """Queue what is held."""
        for event in held.events.values():
            self._push(event)
        held.events.clear()

    def _push(self, event: Event) -> None:
        if self._closed:
            if not self._told:
                self._told = True
                _log.warning(
                    "%s of job %s comes after close, and is not sent; this is said once", event.type, event.job
                )
            return
        body = encode(event)
        # An event begins {"job":"…","type":"…" and neither needs escapes; src and seq come next.
        self._queue.append(_Waiting(event.job, body, 19 + len(event.job) + len(event.type)))
        self._bytes += len(body) + _OVERHEAD
        self._accepted += 1
        self._ring()

    def _ring(self) -> None:
        if self._idle:
            if not self._started:
                self._started = self._start()
            self._idle = not self._started
            self._ready.notify_all()

    # What the sender does ----------------------------------------------------------------------------------------

    def take(self, until: float) -> list[tuple[str, bytes]] | None:
        """Wait for events to send; the same again until they are confirmed.

        Args:
            until: the `time.monotonic` at which to stop waiting.

        Returns:
            Up to 1,000 payloads of about 1 MiB, each with its job id; none where `until` came first, or somebody is
            in a hurry; None when closed.
        """
        with self._ready:
            while not self._closed:
                time = monotonic()
                due = self._release(time)
                self._fill()
                if self._sending or self._hurry or time >= until:
                    self._hurry = False
                    return self._sending
                self._idle = True
                self._ready.wait(min(min(due, until) - time, threading.TIMEOUT_MAX))
                self._idle = False
            return None

    def _release(self, time: float) -> float:
        """Queue the held progress whose time has come. Returns when the next comes."""
        upcoming = float("inf")
        if len(self._queue) + len(self._sending) >= BATCH_EVENTS or self._full():
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

    def _fill(self) -> None:
        size = sum(len(payload) for _, payload in self._sending)
        while self._queue and len(self._sending) < BATCH_EVENTS and size < BATCH_BYTES:
            waiting = self._queue.popleft()
            self._seq += 1
            body, at = waiting.body, waiting.at
            payload = b'%b,"src":"%b","seq":%d%b' % (body[:at], self._src.encode(), self._seq, body[at:])
            self._sending.append((waiting.job, payload))
            size += len(payload)
            self._bytes += len(payload) - len(body)

    def confirm(self, refused: Collection[int] = ()) -> None:
        """What was taken last is in the log, but for the entries at these places, which are taken again."""
        with self._ready:
            kept = [self._sending[at] for at in refused]
            self._delivered += len(self._sending) - len(kept)
            self._bytes -= sum(len(payload) + _OVERHEAD for _, payload in self._sending)
            self._bytes += sum(len(payload) + _OVERHEAD for _, payload in kept)
            self._sending = kept
            self._ready.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, unless somebody is in a hurry: `flush` and `close` end it."""
        with self._ready:
            if not self._hurry:
                self._ready.wait(seconds)
            self._hurry = False

    # What the owner does -----------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> int:
        """Wait until what was said so far is in the log. Returns how many events are not."""
        with self._ready:
            for held in self._held.values():
                self._settle(held)
            goal = self._accepted
            self.wake()
            self._ready.wait_for(lambda: self._delivered >= goal, timeout)
            return max(0, goal - self._delivered)

    def wake(self) -> None:
        """Let the sender look at once, whatever it waits for."""
        with self._ready:
            self._hurry = True
            self._ring()
            self._ready.notify_all()

    def close(self) -> None:
        """Give the sender its leave; what still waits is not sent any more."""
        with self._ready:
            self._closed = self._hurry = True
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
