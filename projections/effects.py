"""What each type of event does to a job: one small function a type, and the table that names them.

An effect returns None, or the mark of an event that turned out to have none. Whether the event's attempt, the
claim and the job's final state let it have an effect at all is decided before, in `projections.snapshot`.
"""

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from projections.job import Indicator, Items, Rollup, Stage, StageSums, State, Sums, Unit, UnitCounts, refresh
from streamproc.events import MAX_NUMBER, Event, Mark
from streamproc.projection import millis, rfc3339

__all__ = ["EFFECTS", "begin_attempt"]

MAX_STAGES = 1000
MAX_INDICATORS = 1000

Effect = Callable[[State, Event, str], Mark | None]
_FINAL = frozenset({"finished", "failed"})


# The job


def begin_attempt(state: State, attempt: int) -> None:
    """Progress starts again. What the job is (kind, title, labels, declared stages) stays, and so does its claim."""
    job, sums = state.job, state.sums
    job.attempt = attempt
    job.status = "queued"
    job.percent = job.message = job.details = job.current_stage = job.items = None
    job.worker = job.result = job.error = job.requested = None
    job.started_at = job.finished_at = None
    job.stalled = False
    declared = [stage for stage, own in zip(job.stages, sums.stages, strict=True) if own.declared]
    job.stages = [Stage(stage.name, stage.weight) for stage in declared]
    job.indicators = []
    job.units = UnitCounts()
    state.units = {}
    state.units_dropped = state.units_complete = True
    state.touched_units = {}
    state.new_members = {}
    state.sums = Sums(
        created=sums.created,
        claim=sums.claim,
        lease_seconds=sums.lease_seconds,
        priority=sums.priority,
        max_attempts=sums.max_attempts,
        stages=[StageSums(declared=True) for _ in declared],
    )
    state.sums_changed = True
    state.stages = {stage.name: at for at, stage in enumerate(job.stages)}
    state.indicators = {}


def _describe(state: State, event: Event) -> None:
    job, sums = state.job, state.sums
    if event.kind is not None:
        job.kind = event.kind
    if event.title is not None:
        job.title = event.title
    if event.labels is not None:
        job.labels = event.labels
    if event.owner is not None:
        job.owner = event.owner
    if event.params is not UNSET:
        state.params = msgspec.json.encode(event.params)
    if event.priority is not None or event.max_attempts is not None:
        sums.priority = sums.priority if event.priority is None else event.priority
        sums.max_attempts = sums.max_attempts if event.max_attempts is None else event.max_attempts
        state.sums_changed = True
    if event.stages is not None:
        _declare(state, event)


def _declare(state: State, event: Event) -> None:
    """Put the declared stages in their order; those that were known before keep how far they are, and their room."""
    job, sums = state.job, state.sums
    known = {stage.name: (stage, own) for stage, own in zip(job.stages, sums.stages, strict=True)}
    order: dict[str, tuple[Stage, StageSums]] = {}
    room = MAX_STAGES - len(known)
    for declaration in event.stages or ():
        name = declaration.name
        place = order.get(name) or known.get(name)
        if place is None:
            if room == 0:
                continue
            room -= 1
            place = (Stage(name), StageSums(declared=True))
        stage, own = place
        stage.weight = declaration.weight
        own.declared = True
        order[name] = place
    order |= {name: stage for name, stage in known.items() if name not in order}
    job.stages = [stage for stage, _ in order.values()]
    sums.stages = [own for _, own in order.values()]
    state.stages = {name: at for at, name in enumerate(order)}
    state.sums_changed = True


def _begin(state: State, position: str, status: str) -> None:
    job = state.job
    if job.status == "queued" or (job.status == "started" and status == "running"):
        job.status = status
    if job.started_at is None:
        job.started_at = rfc3339(millis(position))
    if job.stalled:
        job.stalled = False


def _queued(state: State, event: Event, position: str) -> None:
    _describe(state, event)


def _started(state: State, event: Event, position: str) -> None:
    _describe(state, event)
    _begin(state, position, "started")


def _claimed(state: State, event: Event, position: str) -> None:
    state.sums.claim = event.worker
    state.sums.lease_seconds = event.lease_seconds
    state.sums_changed = True
    _begin(state, position, "started")


def _released(state: State, event: Event, position: str) -> None:
    state.sums.claim = state.sums.lease_seconds = None
    state.sums_changed = True
    state.job.worker = None
    state.job.status = "queued"


def _progressed(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.status != "running" or job.stalled:
        _begin(state, position, "running")
    done, total, percent = event.done, event.total, event.percent
    if done is None and total is None:
        job.items = None
    else:
        items = _items(job.items, done, total)
        job.items = items
        if percent is None:
            percent = _share(items)
    job.percent = percent


def _items(before: Items | None, done: float | int | None, total: float | int | None) -> Items:
    """Done of total, each kept from the last report where this one doesn't say it."""
    if before is not None:
        done = before.done if done is None else done
        total = before.total if total is None else total
    return Items(done or 0, total)


def _share(items: Items) -> float | None:
    if items.total is None:
        return None
    return 100.0 * items.done / items.total if items.total > 0 else 0.0


def _finished(state: State, event: Event, position: str) -> None:
    _end(state, position, "finished")
    state.job.percent = 100.0
    state.job.result = None if event.result is UNSET else event.result


def _failed(state: State, event: Event, position: str) -> None:
    _end(state, position, "failed")
    state.job.error = event.error


def _canceled(state: State, event: Event, position: str) -> None:
    _end(state, position, "canceled")
    if event.reason is not None:
        state.job.message = event.reason


def _end(state: State, position: str, status: str) -> None:
    state.updated = position
    refresh(state)
    job = state.job
    job.status = status
    job.finished_at = rfc3339(millis(position))
    job.requested = None
    job.stalled = False
    if state.sums.claim is not None:
        state.sums.claim = state.sums.lease_seconds = None
        state.sums_changed = True


def _pause_requested(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.requested != "cancel":
        job.requested = None if job.status == "paused" else "pause"


def _resume_requested(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.requested != "cancel":
        job.requested = "resume" if job.status == "paused" else None


def _cancel_requested(state: State, event: Event, position: str) -> None:
    state.job.requested = "cancel"


def _paused(state: State, event: Event, position: str) -> None:
    _begin(state, position, "running")
    state.job.status = "paused"
    if state.job.requested == "pause":
        state.job.requested = None


def _resumed(state: State, event: Event, position: str) -> None:
    _begin(state, position, "running")
    state.job.status = "running"
    if state.job.requested == "resume":
        state.job.requested = None


def _stalled(state: State, event: Event, position: str) -> None:
    state.job.stalled = True


def _nothing_more(state: State, event: Event, position: str) -> None:
    """A heartbeat or a note: the message, the worker and the time are all there is to it."""


# Indicators


def _counted(state: State, event: Event, position: str) -> Mark | None:
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
    _begin(state, position, "running")
    if indicator is None:
        indicator = Indicator(label)
        state.indicators[label] = indicator
        state.job.indicators.append(indicator)
    indicator.done = min(indicator.done + done, MAX_NUMBER)
    indicator.total = min(indicator.total + total, MAX_NUMBER)
    if event.stage is not None and state.sums.indicator_stages.get(label) != event.stage:
        if _stage(state, event.stage) is None:
            return None
        state.sums.indicator_stages[label] = event.stage
        state.sums_changed = True
    if event.stage is not None:
        _wake_stage(state, event.stage, position)
    return None


# Stages


def _stage(state: State, name: str, event: Event | None = None) -> int | None:
    """Where a stage stands in the list, added where it wasn't declared; None where there is no room."""
    at = state.stages.get(name)
    if at is not None:
        return at
    job, sums = state.job, state.sums
    if len(job.stages) >= MAX_STAGES:
        return None
    at = len(job.stages)
    if event is not None and event.index is not None:
        at = min(at, max(0, event.index - 1))
    job.stages.insert(at, Stage(name))
    sums.stages.insert(at, StageSums(declared=False))
    state.stages = {stage.name: place for place, stage in enumerate(job.stages)}
    state.sums_changed = True
    return at


def _stage_effect(then: Callable[[State, Stage, StageSums, Event, int], None], *, reports: bool = False) -> Effect:
    """What every event of a stage does first: it adds the stage, weighs it, and makes the job run."""

    def effect(state: State, event: Event, position: str) -> Mark | None:
        assert event.stage is not None  # noqa: S101  (the wire requires it)
        at = _stage(state, event.stage, event)
        if at is None:
            return Mark.OVER_LIMIT
        stage, own = state.job.stages[at], state.sums.stages[at]
        if reports and stage.status not in ("pending", "running"):
            return Mark.LATE
        _begin(state, position, "running")
        if event.weight is not None:
            stage.weight = event.weight
        if event.total_stages is not None and event.total_stages != state.sums.total_stages:
            state.sums.total_stages = event.total_stages
            state.sums_changed = True
        then(state, stage, own, event, millis(position))
        return None

    return effect


def _run_stage(state: State, stage: Stage, own: StageSums, now: int) -> None:
    stage.status = "running"
    stage.percent = stage.finished_at = stage.duration_seconds = stage.error = None
    stage.started_at = rfc3339(now)
    own.started = now
    own.reported = own.items = None
    state.job.items = None
    state.sums_changed = True


def _wake_stage(state: State, name: str, position: str) -> None:
    """A pending stage whose units or counters move has started."""
    at = state.stages[name]
    stage = state.job.stages[at]
    if stage.status == "pending":
        _run_stage(state, stage, state.sums.stages[at], millis(position))


def _stage_started(state: State, stage: Stage, own: StageSums, event: Event, now: int) -> None:
    if stage.status != "running":
        _run_stage(state, stage, own, now)


def _stage_progressed(state: State, stage: Stage, own: StageSums, event: Event, now: int) -> None:
    if stage.status == "pending":
        _run_stage(state, stage, own, now)
    percent = event.percent
    if event.done is not None or event.total is not None:
        items = _items(own.items, event.done, event.total)
        own.items = state.job.items = items
        if percent is None:
            percent = _share(items)
    own.reported = None if percent is None else min(100.0, percent)  # JSON knows no infinite share
    state.sums_changed = True


def _end_stage(stage: Stage, own: StageSums, status: str, now: int) -> None:
    stage.status = status
    stage.finished_at = rfc3339(now)
    if own.started is not None:
        stage.duration_seconds = (now - own.started) / 1000


def _stage_finished(state: State, stage: Stage, own: StageSums, event: Event, now: int) -> None:
    if stage.status != "finished":
        _end_stage(stage, own, "finished", now)
        stage.percent = 100.0
        stage.error = None


def _stage_failed(state: State, stage: Stage, own: StageSums, event: Event, now: int) -> None:
    refresh(state)
    _end_stage(stage, own, "failed", now)
    stage.error = event.error


def _stage_skipped(state: State, stage: Stage, own: StageSums, event: Event, now: int) -> None:
    if stage.status == "running":
        _end_stage(stage, own, "skipped", now)
    stage.status = "skipped"
    stage.percent = None


# Units


def _unit(state: State, name: str) -> Unit:
    unit = state.units.get(name)
    if unit is None:
        unit = state.units[name] = Unit(name)
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
    if new_stage and _stage(state, event.stage or "") is None:
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
        for rollup in _rollups(state, unit):
            rollup.advance(unit.weight, by)
        state.sums_changed = True


def _count(state: State, unit: Unit, status: str) -> None:
    """Move the unit from one status to another, and the counts with it."""
    if unit.status != status:
        counts = state.job.units
        setattr(counts, unit.status or "", getattr(counts, unit.status or "") - 1)
        setattr(counts, status, getattr(counts, status) + 1)
        unit.status = status


def _unit_effect(then: Callable[[State, Unit, Event, int], None], *, adds: bool = False) -> Effect:
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
                _begin(state, position, "running")
            if unit.stage is not None:
                _wake_stage(state, unit.stage, position)
        if event.message is not None:
            unit.message = event.message
        if event.worker is not None:
            unit.worker = event.worker
        then(state, unit, event, millis(position))
        return None

    return effect


def _unit_added(state: State, unit: Unit, event: Event, now: int) -> None:
    """Joining is all there is to it."""


def _unit_started(state: State, unit: Unit, event: Event, now: int) -> None:
    if unit.status != "running":
        unit.started_at = rfc3339(now)
        _count(state, unit, "running")


def _unit_progressed(state: State, unit: Unit, event: Event, now: int) -> None:
    if unit.status != "running":
        _unit_started(state, unit, event, now)
    percent = event.percent
    if percent is None and event.done is not None and event.total is not None:
        percent = 100.0 * event.done / event.total if event.total > 0 else 0.0
    if percent is not None:
        _advance(state, unit, round(min(100.0, max(0.0, percent)), 2))


def _unit_finished(state: State, unit: Unit, event: Event, now: int) -> None:
    unit.finished_at = rfc3339(now)
    _advance(state, unit, 100.0)
    _count(state, unit, "finished")


def _unit_failed(state: State, unit: Unit, event: Event, now: int) -> None:
    unit.finished_at = rfc3339(now)
    unit.error = event.error
    _advance(state, unit, 0.0)
    _count(state, unit, "failed")


EFFECTS: dict[str, Effect] = {
    "job.queued": _queued,
    "job.claimed": _claimed,
    "job.released": _released,
    "job.started": _started,
    "job.progressed": _progressed,
    "job.counted": _counted,
    "job.pause_requested": _pause_requested,
    "job.resume_requested": _resume_requested,
    "job.cancel_requested": _cancel_requested,
    "job.paused": _paused,
    "job.resumed": _resumed,
    "job.finished": _finished,
    "job.failed": _failed,
    "job.canceled": _canceled,
    "job.heartbeat": _nothing_more,
    "job.noted": _nothing_more,
    "job.stalled": _stalled,
    "stage.started": _stage_effect(_stage_started),
    "stage.progressed": _stage_effect(_stage_progressed, reports=True),
    "stage.finished": _stage_effect(_stage_finished),
    "stage.failed": _stage_effect(_stage_failed),
    "stage.skipped": _stage_effect(_stage_skipped),
    "unit.added": _unit_effect(_unit_added, adds=True),
    "unit.started": _unit_effect(_unit_started),
    "unit.progressed": _unit_effect(_unit_progressed),
    "unit.finished": _unit_effect(_unit_finished),
    "unit.failed": _unit_effect(_unit_failed),
}
