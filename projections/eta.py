"""What an estimate of a job's remaining time is made of: when the job was how far.

A job's *path* is kept on its **active clock**: milliseconds since the attempt started, without the time that it was
paused or stalled. Of each stage it has when the stage began and ended, how large it is, and when each tenth of it was
reached; a job without stages is one stage without a name. A path changes some ten times a stage, and is only then
encoded: it stands in the stored snapshot, where `eta` is served. When an attempt ends its path becomes a *run* of the
job's kind, and `projections.kinds` learns from runs.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from projections.job import State as Folded
from projections.job import share_of_indicators
from streamproc.events import Event, RecordedEvent
from streamproc.projection import Changes, millis, parse_rfc3339

__all__ = ["ENDED", "Eta", "Path", "Run", "StagePath"]

TENTHS: Final = 10
MAX_PATH_STAGES: Final = 200
_MANY: Final = 20
"""So many indicators are summed up at each of their events; more of them only now and then."""
ENDED: Final = {"job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled"}


class StagePath(Struct, array_like=True, gc=False):
    """A stage of a path.

    Args:
        name: of the stage; empty for a job without stages.
        began: on the active clock, in ms.
        ended: likewise; None while it runs.
        size: its total, in whatever it counts; None where it counts nothing.
        tenths: when it had reached 1/10, 2/10, …, 9/10.
        outcome: None while it runs, then ``finished``, ``failed`` or ``skipped``.
    """

    name: str
    began: int
    ended: int | None = None
    size: float | int | None = None
    tenths: list[int] = []
    outcome: str | None = None


class Path(Struct, array_like=True, gc=False):
    """How a job came where it is. Times are in ms, of the log's own clock.

    Args:
        attempt: whose path it is.
        started: when the attempt did; None before.
        away: how long it was paused or stalled since, up to the last return.
        since: when it was paused, or was heard of last before it was found to be stalled; None while it is active.
        back: when it was paused or stalled last, and went on.
        gap: the longest time between two reports of progress, about.
        stages: in the order in which they began.
    """

    attempt: int = 1
    started: int | None = None
    away: int = 0
    since: int | None = None
    back: int = 0
    gap: int = 0
    stages: list[StagePath] = []


class Run(Struct, array_like=True, gc=False):
    """An attempt that ended, as its kind remembers it.

    Args:
        outcome: ``finished``, ``failed`` or ``canceled``.
        duration: on the active clock, in ms.
        waited: from the job's creation to the attempt's start, in ms.
        gap: the longest time between two reports of progress, in ms.
        stages: see `Path`.
    """

    outcome: str
    duration: int
    waited: int
    gap: int
    stages: list[StagePath]


class State:
    """A job's path in memory, and when progress was reported last."""

    __slots__ = ("changed", "path", "places", "progressed", "runs")

    def __init__(self, path: Path, progressed: int | None) -> None:
        self.path = path
        self.progressed = progressed
        self.places = {stage.name: at for at, stage in enumerate(path.stages)}
        self.changed = False
        self.runs: list[tuple[str, str, bytes]] = []


class _Saved(Struct):
    """What is read of a stored snapshot."""

    eta: Path | None = None
    progressed_at: str | None = None


_NOTHING: Final = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Saved).decode


class Eta:
    """The paths of jobs, and the runs of their kinds."""

    name = "eta"
    version = 1
    fields: tuple[str, ...] = ("snapshot",)
    keeps_units = False

    def initial(self, job: str) -> State:
        return State(Path(), None)

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> State:
        snapshot = fields["snapshot"]
        if snapshot is None:
            return self.initial(job)
        saved = _decode(snapshot)
        progressed = None if saved.progressed_at is None else parse_rfc3339(saved.progressed_at)
        return State(saved.eta or Path(), progressed)

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        event = recorded.event
        reaction = _REACTIONS.get(event.type)
        if reaction is None or recorded.mark is not None:
            return
        folded: Folded = recorded.folded
        if folded.job.attempt != state.path.attempt:
            _begin_anew(state, folded.job.attempt)
        reaction(state, event, millis(recorded.position), folded)
        if event.type in ENDED:
            _end(state, recorded, folded)
        elif state.changed:
            folded.job.eta = msgspec.Raw(_encode(state.path))
            state.changed = False

    def view(self, state: State) -> Path:
        return state.path

    def save(self, state: State) -> Changes:
        changes = Changes(weight=200 + 300 * len(state.path.stages))
        if state.runs:
            changes.runs = state.runs
            state.runs = []
        return changes

    def lacks_unit(self, state: State, unit: str) -> bool:
        return False

    def load_unit(self, state: State, unit: str, saved: bytes | None) -> None:
        raise NotImplementedError("eta keeps no state per unit")


# What each type of event does ----------------------------------------------------------------------------------------


def _begin_anew(state: State, attempt: int) -> None:
    state.path = Path(attempt)
    state.places = {}
    state.progressed = None
    state.changed = True


def _clock(path: Path, now: int) -> int:
    """The active clock, in ms."""
    started = path.started
    if started is None:
        return 0
    return max(0, (now if path.since is None else path.since) - started - path.away)


def _started(state: State, event: Event, now: int, folded: Folded) -> None:
    if state.path.started is None:
        state.path.started = now
        state.changed = True


def _active(state: State, now: int) -> int:
    """It works: the clock runs. Returns what it shows."""
    path = state.path
    if path.started is None:
        path.started = now
        state.changed = True
    if path.since is not None:
        path.away += max(0, now - path.since)
        path.since = None
        path.back = now
        state.changed = True
    return now - path.started - path.away


def _report(state: State, now: int) -> int:
    """The same, for a report of progress: how long was it silent before?"""
    clock = _active(state, now)
    if state.progressed is not None:
        gap = now - max(state.progressed, state.path.back)
        if gap > 1.25 * state.path.gap:
            state.path.gap = gap
            state.changed = True
    state.progressed = now
    return clock


def _paused(state: State, event: Event, now: int, folded: Folded) -> None:
    _active(state, now)
    state.path.since = now
    state.changed = True


def _resumed(state: State, event: Event, now: int, folded: Folded) -> None:
    _active(state, now)


def _stalled(state: State, event: Event, now: int, folded: Folded) -> None:
    """It was heard of last so many seconds ago; the time since then isn't work."""
    path = state.path
    if path.since is None and path.started is not None:
        path.since = max(path.started, now - round(1000 * (event.silent_seconds or 0)))
        state.changed = True


def _progressed(state: State, event: Event, now: int, folded: Folded) -> None:
    clock = _report(state, now)
    if not folded.job.stages:
        _reach_whole(state, clock, folded)


def _counted(state: State, event: Event, now: int, folded: Folded) -> None:
    clock = _report(state, now)
    if not folded.job.stages:
        indicators = len(folded.job.indicators)
        if indicators <= _MANY or folded.job.events % indicators == 0:
            _reach_whole(state, clock, folded)
        return
    name = folded.sums.indicator_stages.get(event.indicator or "")
    if name is not None:
        _reach_stage(state, name, clock, folded)


def _unit(state: State, event: Event, now: int, folded: Folded) -> None:
    clock = _report(state, now)
    if not folded.job.stages:
        _reach_whole(state, clock, folded)
        return
    unit = folded.units.get(event.unit or "")
    if unit is not None and unit.stage is not None:
        _reach_stage(state, unit.stage, clock, folded)


def _stage(state: State, event: Event, now: int, folded: Folded) -> None:
    _reach_stage(state, event.stage or "", _report(state, now), folded)


def _stage_ended(state: State, event: Event, now: int, folded: Folded) -> None:
    clock = _report(state, now)
    stage = _stage_path(state, event.stage or "", clock)
    if stage is not None:
        stage.ended = clock
        stage.outcome = event.type.removeprefix("stage.")
        state.changed = True


def _reach_whole(state: State, clock: int, folded: Folded) -> None:
    """A job without stages is so far."""
    stage = _stage_path(state, "", clock)
    units, job = folded.sums.units, folded.job
    if stage is None:
        return
    if units is not None and units.units:
        _reach(state, stage, clock, units.percent(), units.weight if units.weighted else units.units)
    elif job.indicators:
        _reach(state, stage, clock, *share_of_indicators(job.indicators))
    elif job.percent is not None:
        _reach(state, stage, clock, job.percent, None if job.items is None else job.items.total)


def _reach_stage(state: State, name: str, clock: int, folded: Folded) -> None:
    """A stage is so far, by its own report, or else by the units or indicators that name it."""
    stage = _stage_path(state, name, clock)
    if stage is None:
        return
    own = folded.sums.stages[folded.stages[name]]
    if own.reported is not None:
        _reach(state, stage, clock, own.reported, None if own.items is None else own.items.total)
    elif own.units is not None and own.units.units:
        units = own.units
        _reach(state, stage, clock, units.percent(), units.weight if units.weighted else units.units)
    elif folded.sums.indicator_stages:
        labels = [label for label, of in folded.sums.indicator_stages.items() if of == name]
        if labels:
            _reach(state, stage, clock, *share_of_indicators([folded.indicators[label] for label in labels]))


def _stage_path(state: State, name: str, clock: int) -> StagePath | None:
    """The path of a stage, which runs from now on at the latest; None where there is no room for another."""
    at = state.places.get(name)
    stages = state.path.stages
    if at is None:
        if len(stages) >= MAX_PATH_STAGES:
            return None
        at = state.places[name] = len(stages)
        # What is reported of a job without stages counts from the job's start.
        stages.append(StagePath(name, clock if name else 0))
        state.changed = True
    stage = stages[at]
    if stage.ended is not None:
        stage.ended = stage.outcome = None
        stage.tenths = []
        state.changed = True
    return stage


def _reach(state: State, stage: StagePath, clock: int, percent: float, size: float | int | None) -> None:
    if size != stage.size and size is not None:
        stage.size = size
        state.changed = True
    tenths = stage.tenths
    reached = int(min(TENTHS - 1, max(0.0, percent / TENTHS)))
    if reached > len(tenths):
        tenths += [clock] * (reached - len(tenths))
        state.changed = True
    elif reached < len(tenths):
        del tenths[reached:]  # the total has grown, or it was begun again
        state.changed = True


def _end(state: State, recorded: RecordedEvent, folded: Folded) -> None:
    """The attempt ends: its path becomes a run of its kind."""
    path, job = state.path, folded.job
    if path.started is not None and job.kind is not None:
        clock = _clock(path, millis(recorded.position))
        for stage in path.stages:
            if stage.ended is None:
                stage.ended = clock
        waited = max(0, path.started - folded.sums.created)
        run = Run(ENDED[recorded.event.type], clock, waited, path.gap, path.stages)
        state.runs.append((job.kind, recorded.position, _encode(run)))
    state.path = Path(path.attempt)
    state.places = {}
    state.changed = False
    job.eta = _NOTHING


def _ended(state: State, event: Event, now: int, folded: Folded) -> None:
    """All there is to it comes after."""


_Reaction = Callable[[State, Event, int, Folded], None]
_REACTIONS: Final[Mapping[str, _Reaction]] = {
    "job.claimed": _started,
    "job.started": _started,
    "job.progressed": _progressed,
    "job.counted": _counted,
    "job.paused": _paused,
    "job.resumed": _resumed,
    "job.stalled": _stalled,
    "stage.started": _stage,
    "stage.progressed": _stage,
    "stage.finished": _stage_ended,
    "stage.failed": _stage_ended,
    "stage.skipped": _stage_ended,
    "unit.started": _unit,
    "unit.progressed": _unit,
    "unit.finished": _unit,
    "unit.failed": _unit,
    **dict.fromkeys(ENDED, _ended),
}
