"""The history: every event of a job under the position it has in the log, and the job's attempts.

Events without effect are kept too, with the mark that says why.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from streamproc.events import Event, Mark, RecordedEvent
from streamproc.projection import Changes, millis, rfc3339

__all__ = ["Attempt", "Attempts", "History"]

MAX_ATTEMPTS = 1000


class Attempt(Struct, gc=False):
    """One attempt at a job, as served. `status` is None while it goes on."""

    attempt: int
    worker: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    status: str | None = None
    error: Any = None


class Attempts(Struct):
    """All attempts at a job, oldest first; the newest 1,000 where there were more."""

    attempts: list[Attempt] = []


class State:
    """The attempts, whether they changed, and the events that are not saved yet."""

    __slots__ = ("changed", "entries", "history", "marks")

    def __init__(self, history: Attempts) -> None:
        self.history = history
        self.changed = False
        self.entries: list[str | bytes] = []
        self.marks: dict[str, str] = {}


_ENDINGS = {"job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled"}
_BEGINNINGS = frozenset({"job.started", "job.claimed"})
_TURNS = _BEGINNINGS | _ENDINGS.keys()
_decode = msgspec.json.Decoder(Attempts).decode
_encode = msgspec.json.Encoder().encode


class History:
    """A job's own stream of events, and its attempts."""

    name = "history"
    version = 1
    fields: tuple[str, ...] = ("attempts",)
    keeps_units = False

    def initial(self, job: str) -> State:
        return State(Attempts())

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> State:
        saved = fields["attempts"]
        return State(Attempts() if saved is None else _decode(saved))

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        event = recorded.event
        state.entries += (recorded.position, recorded.raw)
        if recorded.mark is not None:
            state.marks[recorded.position] = recorded.mark
            if recorded.mark is Mark.SUPERSEDED and event.type in _ENDINGS:
                _end_earlier(state, event, recorded.position)
        elif event.type in _TURNS or (event.attempt is not None and event.unit is None):
            _turn(state, event, recorded.position)

    def view(self, state: State) -> Attempts:
        return state.history

    def save(self, state: State) -> Changes:
        changes = Changes(weight=250 + 400 * len(state.history.attempts), entries=state.entries)
        state.entries = []
        if state.marks:
            changes.marks = state.marks
            state.marks = {}
        if state.changed:
            changes.fields = {"attempts": _encode(self.view(state))}
            state.changed = False
        return changes

    def lacks_unit(self, state: State, unit: str) -> bool:
        return False

    def load_unit(self, state: State, unit: str, saved: bytes | None) -> None:
        raise NotImplementedError("history keeps no state per unit")


def _turn(state: State, event: Event, position: str) -> None:
    """Note how an attempt begins or ends. Whatever has an effect in a higher attempt is the first of it."""
    attempts = state.history.attempts
    newest = attempts[-1].attempt if attempts else 1
    number = max(newest, event.attempt or 1) if event.unit is None else newest
    if event.type not in _TURNS and number == newest:
        return
    if not attempts or number > newest:
        attempts.append(Attempt(number))
        del attempts[:-MAX_ATTEMPTS]
    state.changed = True
    attempt = attempts[-1]
    if event.worker is not None:
        attempt.worker = event.worker
    if event.type in _ENDINGS:
        _end(attempt, event, position)
    elif event.type in _BEGINNINGS:
        attempt.started_at = attempt.started_at or rfc3339(millis(position))


def _end_earlier(state: State, event: Event, position: str) -> None:
    """An attempt tells how it ended when the next one has begun: a task queue sends a task again before it failed."""
    attempts = state.history.attempts
    number = event.attempt or 1
    at = bisect_left(attempts, number, key=lambda attempt: attempt.attempt)
    if at < len(attempts) and attempts[at].attempt == number and attempts[at].status is None:
        _end(attempts[at], event, position)
        state.changed = True


def _end(attempt: Attempt, event: Event, position: str) -> None:
    attempt.finished_at = rfc3339(millis(position))
    attempt.status = _ENDINGS[event.type]
    attempt.error = event.error
