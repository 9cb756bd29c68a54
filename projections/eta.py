"""The fold of a job's path, which its estimate is made of.

The path stands in the stored snapshot, where `eta` is served. When an attempt ends it becomes a *run* of the job's
kind, and `projections.kinds` learns from runs.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from projections.job import State as Folded
from projections.job import share_of_indicators
from projections.paths import Path, Run, StagePath, clock_of
from streamproc.events import Event, RecordedEvent
from streamproc.projection import Changes, millis, parse_rfc3339

__all__ = ["ENDED", "Eta"]

TENTHS: Final = 10
MAX_PATH_STAGES: Final = 200
_SECOND: Final = 10
"""So many characters of a position tell its second, from 2001 to 2286; before, less than a second."""
_MANY: Final = 20
"""So many indicators are summed up at each of their events; more of them only now and then."""
ENDED: Final = {"job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled"}


class Place:
    """A stage in memory: while its percent is from `low` to below `high`, and its size the same, nothing is new."""

    __slots__ = ("high", "low", "size", "stage")

    def __init__(self, stage: StagePath) -> None:
        self.stage = stage
        self.low, self.high = _bounds(stage)
        self.size = stage.size


class State:
    """A job's path in memory.

    `second` is the beginning of the position at which progress was reported last, which tells its second, and
    `progressed` that second; None where the next report must be looked at more closely.
    """

    __slots__ = ("kinds", "path", "places", "progressed", "runs", "second")

    def __init__(self, path: Path, progressed: int | None) -> None:
        self.path = path
        self.progressed = progressed
        self.second: str | None = None
        self.places = {stage.name: Place(stage) for stage in path.stages}
        self.runs: list[tuple[str, str, bytes]] = []
        self.kinds: dict[str, int] = {}


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
        return State(Path(), None)

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> State:
        snapshot = fields["snapshot"]
        if snapshot is None:
            return self.initial(job)
        saved = _decode(snapshot)
        progressed = None if saved.progressed_at is None else parse_rfc3339(saved.progressed_at) // 1000
        return State(saved.eta or Path(), progressed)

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        event = recorded.event
        reaction = _REACTIONS.get(event.type)
        if reaction is None or recorded.mark is not None:
            return
        folded: Folded = recorded.folded
        job = folded.job
        if job.attempt != state.path.attempt:
            _begin_anew(state, job.attempt, recorded.position)
        job.eta = state.path
        reaction(state, event, recorded.position, folded)
        if event.type in ENDED:
            _end(state, recorded, folded)

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


# What each type of event does ----------------------------------------------------------------------------------------
#
# Most reports change nothing of a path: they come in the second of the one before, and between two tenths. That is
# found out first, by a few comparisons.


def _begin_anew(state: State, attempt: int, position: str) -> None:
    state.path = Path(attempt, queued=millis(position))
    state.places = {}
    state.progressed = state.second = None


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


def _later(state: State, position: str) -> None:
    """Progress is reported in another second than the last time: was it silent for long?"""
    now = millis(position)
    _active(state, now)
    second = now // 1000
    gap = 1000 * (second - _last(state, now))
    if gap > state.path.gap:
        state.path.gap = gap
    state.progressed = second
    state.second = position[:_SECOND]


def _last(state: State, now: int) -> int:
    """The second in which it moved last: by progress, its start, or going on."""
    path = state.path
    last = (path.started or now) // 1000 if state.progressed is None else state.progressed
    return max(last, path.back // 1000)


def _paused(state: State, event: Event, position: str, folded: Folded) -> None:
    now = millis(position)
    _active(state, now)
    state.path.since = now
    state.second = None


def _released(state: State, event: Event, position: str, folded: Folded) -> None:
    """Nobody works on it until it is claimed again."""
    if state.path.since is None and state.path.started is not None:
        state.path.since = millis(position)
        state.second = None


def _resumed(state: State, event: Event, position: str, folded: Folded) -> None:
    _active(state, millis(position))


def _stalled(state: State, event: Event, position: str, folded: Folded) -> None:
    """It was heard of last so many seconds ago; the time since then isn't work."""
    path = state.path
    if path.since is None and path.started is not None:
        now = millis(position)
        path.since = max(path.started, now - round(1000 * (event.silent_seconds or 0)))
        path.gap = max(path.gap, now - path.since)  # where it goes on by itself, that was no reason to worry
        state.second = None


def _progressed(state: State, event: Event, position: str, folded: Folded) -> None:
    if position[:_SECOND] != state.second:
        _later(state, position)
    if not folded.job.stages:
        _reach_whole(state, position, folded)


def _counted(state: State, event: Event, position: str, folded: Folded) -> None:
    if position[:_SECOND] != state.second:
        _later(state, position)
    job = folded.job
    if not job.stages:
        indicators = len(job.indicators)
        if indicators <= _MANY or job.events % indicators == 0:
            _reach_whole(state, position, folded)
        return
    name = folded.sums.indicator_stages.get(event.indicator or "")
    if name is not None:
        _reach_stage(state, name, position, folded)


def _unit(state: State, event: Event, position: str, folded: Folded) -> None:
    if position[:_SECOND] != state.second:
        _later(state, position)
    if not folded.job.stages:
        _reach_whole(state, position, folded)
        return
    unit = folded.units.get(event.unit or "")
    if unit is not None and unit.stage is not None:
        _reach_stage(state, unit.stage, position, folded)


def _stage(state: State, event: Event, position: str, folded: Folded) -> None:
    if position[:_SECOND] != state.second:
        _later(state, position)
    _reach_stage(state, event.stage or "", position, folded)


def _stage_ended(state: State, event: Event, position: str, folded: Folded) -> None:
    if position[:_SECOND] != state.second:
        _later(state, position)
    place = _place(state, event.stage or "", position)
    if place is not None:
        place.stage.ended = clock_of(state.path, millis(position))
        place.stage.outcome = event.type.removeprefix("stage.")


def _reach_whole(state: State, position: str, folded: Folded) -> None:
    """A job without stages is so far."""
    place = state.places.get("") or _place(state, "", position)
    job, units = folded.job, folded.sums.units
    size: float | int | None
    if place is None:
        return
    if units is not None and units.units:
        percent, size = units.percent(), units.weight if units.weighted else units.units
    elif job.indicators:
        percent, size = share_of_indicators(job.indicators)
    elif job.percent is not None:
        percent, size = job.percent, None if job.items is None else job.items.total
    else:
        return
    if not place.low <= percent < place.high or size != place.size:
        _reach(state, place, position, percent, size)


def _reach_stage(state: State, name: str, position: str, folded: Folded) -> None:
    """A stage is so far, by its own report, or else by the units or indicators that name it."""
    place = state.places.get(name)
    if place is None or place.stage.ended is not None:
        place = _place(state, name, position)
        if place is None:
            return
    own = folded.sums.stages[folded.stages[name]]
    units = own.units
    size: float | int | None
    if own.reported is not None:
        percent, size = own.reported, None if own.items is None else own.items.total
    elif units is not None and units.units:
        percent, size = units.percent(), units.weight if units.weighted else units.units
    else:
        labels = [label for label, of in folded.sums.indicator_stages.items() if of == name]
        if not labels:
            return
        percent, size = share_of_indicators([folded.indicators[label] for label in labels])
    if not place.low <= percent < place.high or size != place.size:
        _reach(state, place, position, percent, size)


def _place(state: State, name: str, position: str) -> Place | None:
    """The place of a stage, which runs from now on at the latest; None where there is no room for another."""
    place = state.places.get(name)
    if place is None:
        stages = state.path.stages
        if len(stages) >= MAX_PATH_STAGES:
            return None
        if name and "" in state.places:  # it has stages after all
            stages.remove(state.places.pop("").stage)
        # What is reported of a job without stages counts from the job's start.
        stage = StagePath(name, clock_of(state.path, millis(position)) if name else 0)
        stages.append(stage)
        place = state.places[name] = Place(stage)
    elif place.stage.ended is not None:
        stage = place.stage
        stage.ended = stage.outcome = stage.first = None
        stage.tenths = []
        place = state.places[name] = Place(stage)
    return place


def _reach(state: State, place: Place, position: str, percent: float, size: float | int | None) -> None:
    stage, clock = place.stage, clock_of(state.path, millis(position))
    if size is not None:
        stage.size = size
    place.size = size
    if stage.first is None and 0 < percent < 100:
        stage.first = clock, round(percent, 2)
    tenths = stage.tenths
    reached = int(min(TENTHS - 1, max(0.0, percent / TENTHS)))
    if reached > len(tenths):
        tenths += [clock] * (reached - len(tenths))
    else:
        del tenths[reached:]  # the total has grown, or it was begun again
    place.low, place.high = _bounds(stage)


def _bounds(stage: StagePath) -> tuple[float, float]:
    """Between which percents nothing of a stage's path changes."""
    reached = len(stage.tenths)
    low = 10.0 * reached if reached else float("-inf")
    if stage.first is None:
        return float("-inf"), 5e-324  # any report of progress is the first
    return low, 10.0 * (reached + 1) if reached < TENTHS - 1 else float("inf")


def _end(state: State, recorded: RecordedEvent, folded: Folded) -> None:
    """The attempt ends: its path becomes a run of its kind."""
    path, job = state.path, folded.job
    if path.started is not None and job.kind is not None:
        now = millis(recorded.position)
        clock = clock_of(path, now)
        if recorded.event.type == "job.finished":
            path.gap = max(path.gap, 1000 * ((path.since or now) // 1000 - _last(state, now)))
        for stage in path.stages:
            if stage.ended is None:
                stage.ended = clock
        waited = max(0, path.started - (path.queued or folded.sums.created))
        run = Run(ENDED[recorded.event.type], clock, waited, path.gap, path.stages, _size(folded))
        state.runs.append((job.kind, recorded.position, _encode(run)))
        state.kinds[job.kind] = millis(recorded.position)
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


def _ended(state: State, event: Event, position: str, folded: Folded) -> None:
    """All there is to it comes after."""


_Reaction = Callable[[State, Event, str, Folded], None]
_REACTIONS: Final[Mapping[str, _Reaction]] = {
    "job.queued": _queued,
    "job.claimed": _started,
    "job.released": _released,
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
