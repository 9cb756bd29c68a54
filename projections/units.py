"""What the events of a unit do, and counters, which may be a unit's."""

from collections.abc import Callable

from projections.job import Indicator, Rollup, State, Unit
from projections.progress import Effect, begin
from projections.stages import find_stage, wake_stage
from streamproc.events import MAX_NUMBER, Event, Mark
from streamproc.projection import millis, rfc3339

__all__ = ["MAX_INDICATORS", "UNIT_EFFECTS", "counted"]

MAX_INDICATORS = 1000
_FINAL = frozenset({"finished", "failed"})


def counted(state: State, event: Event, position: str) -> Mark | None:
    label = event.indicator
    assert label is not None  # noqa: S101  (the wire requires it)
    indicator = state.indicators.get(label)
    if indicator is None and len(state.job.indicators) >= MAX_INDICATORS:
        return Mark.OVER_LIMIT
    done, total = event.done or 0, event.total or 0
    if event.unit is not None:
        unit = _unit(state, event.unit)
        if event.attempt is not None and not _attempt(state, unit, event.attempt):
            return Mark.SUPERSEDED
        if unit.counts is None:
            unit.counts = {}
        mine = unit.counts.setdefault(label, [0, 0])
        mine[0] = min(mine[0] + done, MAX_NUMBER)
        mine[1] = min(mine[1] + total, MAX_NUMBER)
    begin(state, position, "running")
    if indicator is None:
        indicator = Indicator(label)
        state.indicators[label] = indicator
        state.job.indicators.append(indicator)
    indicator.done = min(indicator.done + done, MAX_NUMBER)
    indicator.total = min(indicator.total + total, MAX_NUMBER)
    if event.stage is not None and state.sums.indicator_stages.get(label) != event.stage:
        if find_stage(state, event.stage) is None:
            return None
        state.sums.indicator_stages[label] = event.stage
        state.sums_changed = True
    if event.stage is not None:
        wake_stage(state, event.stage, position)
    return None


def _unit(state: State, name: str) -> Unit:
    unit = state.units.get(name)
    if unit is None:
        unit = state.units[name] = Unit(name, None, 0.0)
    state.touched_units[name] = None
    return unit


def _attempt(state: State, unit: Unit, attempt: int) -> bool:
    """Whether this attempt of the unit counts. A higher one takes back what the last one did."""
    if attempt < unit.attempt:
        return False
    if attempt > unit.attempt:
        for label, (done, total) in (unit.counts or {}).items():
            indicator = state.indicators[label]
            # Never below 0, where sums of fractions drift or a sum stood at its limit.
            indicator.done = max(0, indicator.done - done)
            indicator.total = max(0, indicator.total - total)
        unit.counts = None
        unit.attempt = attempt
        unit.error = unit.started_at = unit.finished_at = unit.message = None
        if unit.status is not None:
            _advance(state, unit, 0.0)
            _count(state, unit, "pending")
    return True


def _rollups(state: State, unit: Unit) -> list[Rollup]:
    """The sums that a unit is part of: the job's and its stage's."""
    sums = state.sums
    if sums.units is None:
        sums.units = Rollup()
    if unit.stage is None:
        return [sums.units]
    own = sums.stages[state.stages[unit.stage]]
    if own.units is None:
        own.units = Rollup()
    return [sums.units, own.units]


def _join(state: State, unit: Unit, event: Event) -> None:
    """Make the unit a member, or give a member its weight and stage anew."""
    new_stage = event.stage is not None and event.stage != unit.stage
    if new_stage and find_stage(state, event.stage or "") is None:
        new_stage = False
    if unit.status is not None:
        if not new_stage and (event.weight is None or event.weight == unit.weight):
            return
        for rollup in _rollups(state, unit):
            rollup.add(unit, -1)
    else:
        unit.status = "pending"
        state.job.units.total += 1
        state.job.units.pending += 1
        state.sums.ranks += 1
        state.new_members[unit.unit] = state.sums.ranks
    if event.weight is not None:
        unit.weight = event.weight
    if new_stage:
        unit.stage = event.stage
    for rollup in _rollups(state, unit):
        rollup.add(unit)
    state.sums_changed = True


def _advance(state: State, unit: Unit, percent: float) -> None:
    by = percent - unit.percent
    if by:
        unit.percent = percent
        sums = state.sums
        assert sums.units is not None  # noqa: S101  (a member has joined it)
        sums.units.advance(unit.weight, by)
        if unit.stage is not None:
            own = sums.stages[state.stages[unit.stage]].units
            assert own is not None  # noqa: S101
            own.advance(unit.weight, by)
        state.sums_changed = True


def _count(state: State, unit: Unit, status: str) -> None:
    """Move the unit from one status to another, and the counts with it."""
    if unit.status != status:
        counts = state.job.units
        setattr(counts, unit.status or "", getattr(counts, unit.status or "") - 1)
        setattr(counts, status, getattr(counts, status) + 1)
        unit.status = status


def _unit_effect(then: Callable[[State, Unit, Event, str], None], *, adds: bool = False) -> Effect:
    """What every event of a unit does first: it adds the unit, and checks its attempt and whether it is final."""

    def effect(state: State, event: Event, position: str) -> Mark | None:
        assert event.unit is not None  # noqa: S101  (the wire requires it)
        unit = state.units.get(event.unit)
        if unit is None:
            unit = _unit(state, event.unit)
        else:
            state.touched_units[event.unit] = None
        if event.attempt is not None and event.attempt != unit.attempt and not _attempt(state, unit, event.attempt):
            return Mark.SUPERSEDED
        if unit.status in _FINAL:
            return Mark.LATE
        if unit.status is None or event.weight is not None or event.stage is not None:
            _join(state, unit, event)
        if not adds:
            if state.job.status != "running" or state.job.stalled:
                begin(state, position, "running")
            if unit.stage is not None:
                wake_stage(state, unit.stage, position)
        if event.message is not None:
            unit.message = event.message
        if event.worker is not None:
            unit.worker = event.worker
        then(state, unit, event, position)
        return None

    return effect


def _unit_added(state: State, unit: Unit, event: Event, position: str) -> None:
    """Joining is all there is to it."""


def _unit_started(state: State, unit: Unit, event: Event, position: str) -> None:
    if unit.status != "running":
        unit.started_at = rfc3339(millis(position))
        _count(state, unit, "running")


def _unit_progressed(state: State, unit: Unit, event: Event, position: str) -> None:
    if unit.status != "running":
        _unit_started(state, unit, event, position)
    percent = event.percent
    if percent is None and event.done is not None and event.total is not None:
        percent = 100.0 * event.done / event.total if event.total > 0 else 0.0
    if percent is not None:
        _advance(state, unit, 0.0 if percent <= 0 else 100.0 if percent >= 100 else round(percent, 2))


def _unit_finished(state: State, unit: Unit, event: Event, position: str) -> None:
    unit.finished_at = rfc3339(millis(position))
    _advance(state, unit, 100.0)
    _count(state, unit, "finished")


def _unit_failed(state: State, unit: Unit, event: Event, position: str) -> None:
    unit.finished_at = rfc3339(millis(position))
    unit.error = event.error
    if event.error is not None and event.error.detail is not None:
        state.units_text += len(event.error.detail)
    _advance(state, unit, 0.0)
    _count(state, unit, "failed")


UNIT_EFFECTS: dict[str, Effect] = {
    "unit.added": _unit_effect(_unit_added, adds=True),
    "unit.started": _unit_effect(_unit_started),
    "unit.progressed": _unit_effect(_unit_progressed),
    "unit.finished": _unit_effect(_unit_finished),
    "unit.failed": _unit_effect(_unit_failed),
}
