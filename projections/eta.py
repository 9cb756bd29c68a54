"""The fold of a job's path, which its estimate is made of.

The path stands in the stored snapshot, where `eta` is served. When an attempt ends it becomes a *run* of the job's
kind, and `projections.kinds` learns from runs. How far it is when is in `projections.reaching`; here is what its clock
tells: when it began, stood still, was silent, and ended.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from projections.job import JobSnapshot
from projections.job import State as Folded
from projections.paths import Path, Run, clock_of
from projections.reaching import State, report_of
from streamproc.events import Event, Mark, RecordedEvent
from streamproc.projection import Changes, millis, parse_rfc3339

__all__ = ["ENDED", "Eta"]

_TEN_DIGITS: Final = 10**9
ENDED: Final = {"job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled"}


class _Saved(Struct):
    """What is read of a stored snapshot."""

    eta: Path | None = None
    progressed_at: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Saved).decode


class Eta:
    """The paths of jobs, and the runs of their kinds."""

    name = "eta"
    version = 1
    fields: tuple[str, ...] = ("snapshot",)
    keeps_units = False

    def initial(self, job: str) -> State:
        return State(Path())

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> State:
        snapshot = fields["snapshot"]
        if snapshot is None:
            return self.initial(job)
        saved = _decode(snapshot)
        last = None if saved.progressed_at is None else f"{parse_rfc3339(saved.progressed_at)}-0"
        return State(saved.eta or Path(), last)

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        mark = recorded.mark
        if mark is not None and mark is not Mark.OVER_LIMIT:
            return
        event, position, folded = recorded.event, recorded.position, recorded.folded
        report = report_of(event.type)
        if report is None and event.type not in _TURNS:
            return
        if folded.job.eta is not state.path:
            _follow(state, folded.job, position)
        if report is None:
            _TURNS[event.type](state, event, position, folded)
            return
        if position < state.until or folded.job.status == "paused":  # what comes in then doesn't set its clock going
            state.last = position
        else:
            _moved(state, position)
        if mark is None:  # else there was no room for what it tells of
            report(state, event, position, folded)

    def view(self, state: State) -> Path:
        return state.path

    def save(self, state: State) -> Changes:
        changes = Changes(weight=200 + 300 * len(state.path.stages))
        if state.runs:
            changes.runs = state.runs
            state.runs = []
        if state.kinds:
            changes.kinds = state.kinds
            state.kinds = {}
        return changes

    def lacks_unit(self, state: State, unit: str) -> bool:
        return False

    def load_unit(self, state: State, unit: str, saved: bytes | None) -> None:
        raise NotImplementedError("eta keeps no state per unit")


def _follow(state: State, job: JobSnapshot, position: str) -> None:
    """The path is that of the current attempt, and stands in the snapshot."""
    if job.attempt != state.path.attempt:
        state.path = Path(job.attempt, queued=millis(position))
        state.places = {}
        state.last = None
        state.until = ""
    job.eta = state.path


def _queued(state: State, event: Event, position: str, folded: Folded) -> None:
    if event.kind is not None:
        state.kinds[event.kind] = millis(position)


def _started(state: State, event: Event, position: str, folded: Folded) -> None:
    if folded.job.status == "started":
        _active(state, millis(position))
    _queued(state, event, position, folded)


def _active(state: State, now: int) -> None:
    """It works: the clock runs."""
    path = state.path
    if path.started is None:
        path.started = now
    if path.since is not None:
        path.away += max(0, now - path.since)
        path.since = None
        path.back = now


def _moved(state: State, position: str) -> None:
    """Progress is reported for the first time, or after a while: was it silent for longer than ever?"""
    now = millis(position)
    path, second = state.path, now // 1000
    if path.started is None or path.since is not None:
        _active(state, now)
    gap = 1000 * (second - _last(state, now))
    if gap > path.gap:
        path.gap = gap
    state.last = position
    state.until = str(second + path.gap // 1000 + 1) if second >= _TEN_DIGITS else ""


def _last(state: State, now: int) -> int:
    """The second in which it moved last: by progress, its start, or going on."""
    path = state.path
    last = (path.started or now) if state.last is None else millis(state.last)
    return max(last, path.back) // 1000


def _paused(state: State, event: Event, position: str, folded: Folded) -> None:
    now = millis(position)
    _active(state, now)
    state.path.since = now
    state.until = ""


def _released(state: State, event: Event, position: str, folded: Folded) -> None:
    """Nobody works on it until it is claimed again."""
    if state.path.since is None and state.path.started is not None:
        state.path.since = millis(position)
        state.until = ""


def _resumed(state: State, event: Event, position: str, folded: Folded) -> None:
    _active(state, millis(position))


def _stalled(state: State, event: Event, position: str, folded: Folded) -> None:
    """It was heard of last so many seconds ago; the time since then isn't work."""
    path = state.path
    if path.since is None and path.started is not None:
        now = millis(position)
        path.since = max(path.started, now - round(1000 * (event.silent_seconds or 0)))
        path.gap = max(path.gap, now - path.since)  # where it goes on by itself, that was no reason to worry
        state.until = ""


def _ended(state: State, event: Event, position: str, folded: Folded) -> None:
    """The attempt ends: its path becomes a run of its kind."""
    path, job = state.path, folded.job
    if path.started is not None and job.kind is not None:
        now = millis(position)
        clock = clock_of(path, now)
        if event.type == "job.finished":
            path.gap = max(path.gap, 1000 * ((path.since or now) // 1000 - _last(state, now)))
        for stage in path.stages:
            if stage.ended is None:
                stage.ended = clock
        waited = max(0, path.started - (path.queued or folded.sums.created))
        run = Run(ENDED[event.type], clock, waited, path.gap, path.stages, _size(folded))
        state.runs.append((job.kind, position, _encode(run)))
        state.kinds[job.kind] = now
    state.path = Path(path.attempt)
    state.places = {}
    job.eta = None


def _size(folded: Folded) -> float | int | None:
    """How large a job is, in whatever it counts."""
    job = folded.job
    if job.units.total:
        return job.units.total
    if job.indicators:
        return sum(indicator.total for indicator in job.indicators)
    return None if job.items is None or job.stages else job.items.total  # else they are the stage's


_Turn = Callable[[State, Event, str, Folded], None]
_TURNS: Final[Mapping[str, _Turn]] = {
    "job.queued": _queued,
    "job.claimed": _started,
    "job.released": _released,
    "job.started": _started,
    "job.paused": _paused,
    "job.resumed": _resumed,
    "job.stalled": _stalled,
    **dict.fromkeys(ENDED, _ended),
}
