"""How far a job and its stages are, as their path keeps it: when each tenth was reached, and how large they are.

Most reports change nothing of a path: they come between two tenths. That is found out first, by a few comparisons.
"""

from collections.abc import Callable, Mapping
from typing import Final

from projections.job import State as Folded
from projections.job import share_of_indicators
from projections.paths import Path, StagePath, clock_of
from streamproc.events import Event
from streamproc.projection import millis

__all__ = ["MAX_PATH_STAGES", "Place", "State", "report_of"]

MAX_PATH_STAGES: Final = 200
_MANY: Final = 20
"""So many indicators are summed up at each of their events; more of them only now and then."""
_BOUNDS: Final = (
    (float("-inf"), 10.0),
    *((10.0 * tenths, 10.0 * tenths + 10) for tenths in range(1, 9)),
    (90.0, float("inf")),
)
"""Between which percents so many tenths are reached, 9 at most."""
_ANY: Final = float("-inf"), 5e-324
"""The same before the first report of any progress: up to the least number above 0."""


class Place:
    """A stage in memory: while its percent is from `low` to below `high`, no tenth is won or lost."""

    __slots__ = ("high", "low", "size", "stage")

    def __init__(self, stage: StagePath) -> None:
        self.stage = stage
        self.size = stage.size
        self.low, self.high = _ANY if stage.first is None else _BOUNDS[len(stage.tenths)]


class State:
    """A job's path in memory.

    Progress was reported last at `last`, and a report at a position before `until` (as text, from 2001 to 2286) ends
    no silence that is longer than those before it. `until` is empty where the next report must be looked at.
    """

    __slots__ = ("kinds", "last", "path", "places", "runs", "until")

    def __init__(self, path: Path, last: str | None = None) -> None:
        self.path = path
        self.last = last
        self.until = ""
        self.places = {stage.name: Place(stage) for stage in path.stages}
        self.runs: list[tuple[str, str, bytes]] = []
        self.kinds: dict[str, int] = {}


Report = Callable[[State, Event, str, Folded], None]
"""What a report of progress at a position means for the path of a job, which the snapshot has folded already."""


def _of_job(state: State, event: Event, position: str, folded: Folded) -> None:
    """A job without stages is so far."""
    job = folded.job
    if job.stages:
        return
    place = state.places.get("") or _place(state, "", position)
    units = folded.sums.units
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
    if size is not None and size != place.size:
        place.size = place.stage.size = size
    if not place.low <= percent < place.high:
        _reach(state, place, position, percent)


def _counted(state: State, event: Event, position: str, folded: Folded) -> None:
    job = folded.job
    if job.stages:
        name = folded.sums.indicator_stages.get(event.indicator or "")
        if name is not None:
            _reach_stage(state, name, position, folded)
    else:
        indicators = len(job.indicators)
        if indicators <= _MANY or folded.events % indicators == 0:
            _of_job(state, event, position, folded)


def _of_unit(state: State, event: Event, position: str, folded: Folded) -> None:
    if not folded.job.stages:
        _of_job(state, event, position, folded)
        return
    unit = folded.units.get(event.unit or "")
    if unit is not None and unit.stage is not None:
        _reach_stage(state, unit.stage, position, folded)


def _of_stage(state: State, event: Event, position: str, folded: Folded) -> None:
    _reach_stage(state, event.stage or "", position, folded)


def _stage_ended(state: State, event: Event, position: str, folded: Folded) -> None:
    place = _place(state, event.stage or "", position)
    if place is not None:
        place.stage.ended = clock_of(state.path, millis(position))
        place.stage.outcome = event.type.removeprefix("stage.")


_REPORTS: Final[Mapping[str, Report]] = {
    "job.progressed": _of_job,
    "job.counted": _counted,
    "stage.started": _of_stage,
    "stage.progressed": _of_stage,
    "stage.finished": _stage_ended,
    "stage.failed": _stage_ended,
    "stage.skipped": _stage_ended,
    "unit.started": _of_unit,
    "unit.progressed": _of_unit,
    "unit.finished": _of_unit,
    "unit.failed": _of_unit,
}
report_of = _REPORTS.get


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
    if size is not None and size != place.size:
        place.size = place.stage.size = size
    if not place.low <= percent < place.high:
        _reach(state, place, position, percent)


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
        place.low, place.high = _ANY
    return place


def _reach(state: State, place: Place, position: str, percent: float) -> None:
    stage, clock = place.stage, clock_of(state.path, millis(position))
    if stage.first is None and 0 < percent < 100:
        stage.first = clock, round(percent, 2)
    tenths = stage.tenths
    reached = 0 if percent < 10 else 9 if percent >= 90 else int(percent // 10)
    if reached > len(tenths):
        tenths += [clock] * (reached - len(tenths))
    else:
        del tenths[reached:]  # the total has grown, or it was begun again
    place.low, place.high = _ANY if stage.first is None else _BOUNDS[reached]
