"""A job's state: the served object, the sums beside it, and how percent rolls up.

Percent is the first of these that applies: finished, stages, units, indicators, the last report.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from streamproc.projection import Claim, millis, parse_rfc3339

__all__ = [
    "Indexed",
    "Indicator",
    "Items",
    "JobSnapshot",
    "Rollup",
    "Stage",
    "StageSums",
    "State",
    "Sums",
    "Unit",
    "UnitCounts",
    "refresh",
    "share_of_indicators",
    "silent_since",
]


class Stage(Struct, gc=False):
    """A stage, as served. `percent` is None where it runs and said nothing of how far it is."""

    name: str
    weight: float | int = 1
    status: str = "pending"
    percent: float | None = 0.0
    started_at: str | None = None
    finished_at: str | None = None
    duration_seconds: float | None = None
    error: Any = None


class Indicator(Struct, gc=False):
    """A named counter, as served: the sum over its units."""

    label: str
    done: float | int = 0
    total: float | int = 0


class Items(Struct, gc=False):
    """The last reported done of total, of the job or of the stage it is in."""

    done: float | int
    total: float | int | None


class UnitCounts(Struct, gc=False):
    """How many units are in which status."""

    total: int = 0
    pending: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0


class Unit(Struct, omit_defaults=True):
    """A unit, as served and persisted. `status` is None where it only counted and is no member of the job.

    There may be a hundred thousand of them, so what isn't known is left out of their JSON. `counts` is what the
    current attempt added to each indicator, as [done, total].
    """

    unit: str
    status: str | None
    percent: float
    weight: float | int | None = None
    stage: str | None = None
    attempt: int = 1
    message: str | None = None
    worker: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    error: Any = None
    counts: dict[str, list[float | int]] | None = None


class JobSnapshot(Struct):
    """The job object, as served and persisted. Times are RFC 3339 in UTC.

    A worker took it up first at `started_at` and last at `resumed_at`. It reported progress last at `progressed_at`,
    and said anything at all, a heartbeat even, at `heard_at`.
    """

    job_id: str
    kind: str | None = None
    title: str | None = None
    status: str = "queued"
    percent: float | None = None
    message: str | None = None
    details: dict[str, Any] | None = None
    current_stage: str | None = None
    stages: list[Stage] = []
    indicators: list[Indicator] = []
    items: Items | None = None
    units: UnitCounts = msgspec.field(default_factory=UnitCounts)
    worker: str | None = None
    attempt: int = 1
    labels: dict[str, str] = {}
    owner: str | None = None
    result: Any = None
    error: Any = None
    requested: str | None = None
    stalled: bool = False
    eta: Any = None
    created_at: str | None = None
    started_at: str | None = None
    resumed_at: str | None = None
    progressed_at: str | None = None
    heard_at: str | None = None
    updated_at: str | None = None
    finished_at: str | None = None
    events: int = 0
    late: int = 0
    duplicates: int = 0
    position: str = "0-0"


class Rollup(Struct, array_like=True, gc=False):
    """Running sums over units: enough for their percent, whether or not any of them has a weight."""

    units: int = 0
    percents: float = 0.0
    weighted: int = 0
    weight: float = 0.0
    points: float = 0.0

    def percent(self) -> float:
        if self.weighted:
            return self.points / self.weight if self.weight > 0 else 0.0
        return self.percents / self.units

    def add(self, unit: Unit, times: int = 1) -> None:
        """Count a unit in, or with ``times=-1`` out."""
        self.units += times
        self.percents += times * unit.percent
        if unit.weight is not None:
            self.weighted += times
            self.weight += times * unit.weight
            self.points += times * unit.weight * unit.percent

    def advance(self, weight: float | None, by: float) -> None:
        """A unit of this weight went on by so many percent."""
        self.percents += by
        if weight is not None:
            self.points += weight * by


class StageSums(Struct, array_like=True, gc=False):
    """What a stage is, beyond what is served of it. `items` is its own done of total, where others run beside it."""

    declared: bool
    started: int | None = None
    reported: float | None = None
    units: Rollup | None = None
    items: Items | None = None


class Sums(Struct, array_like=True):
    """The small field beside the snapshot: what the fold must know and nobody is served.

    `offered`: it was put into the queue. `resumed`: a wish to pause was taken back that the worker may have seen.
    """

    created: int = 0
    priority: int = 0
    max_attempts: int | None = None
    total_stages: int = 0
    units: Rollup | None = None
    ranks: int = 0
    stages: list[StageSums] = []
    indicator_stages: dict[str, str] = {}
    offered: bool = False
    resumed: bool = False


class Indexed(NamedTuple):
    """What a job is listed by."""

    status: str
    kind: str | None
    stalled: bool
    title: str | None
    worker: str | None
    owner: str | None
    labels: tuple[tuple[str, str], ...]
    started_at: str | None
    finished_at: str | None


class State:
    """A job in memory: the served object, the sums, the units that are loaded, and what is not saved yet.

    `events` and `position` are the job's, as far as `job` only gets them with the next commit. `updated` is the
    position of the last event that had an effect, `progressed` that of the last report of progress, and `heard` that
    of the last word of the worker; the latter two only where that isn't in `job` yet.
    `queued` is where the job stands in the queues, and `deadline` when its lease ends, as they were saved; it was
    `taken` out of the queues where something in the log says so, whatever came of that.
    `units_complete` says that a unit which isn't in `units` doesn't exist, `units_text` how long the texts are that
    units can be large by.
    """

    __slots__ = (
        "claim",
        "claim_changed",
        "deadline",
        "events",
        "heard",
        "indexed",
        "indicators",
        "job",
        "new_members",
        "params",
        "position",
        "progressed",
        "queued",
        "stages",
        "sums",
        "sums_changed",
        "taken",
        "touched_units",
        "units",
        "units_complete",
        "units_dropped",
        "units_text",
        "updated",
    )

    def __init__(self, job: JobSnapshot, sums: Sums) -> None:
        self.job = job
        self.sums = sums
        self.sums_changed = False
        self.params: bytes | None = None
        self.claim: Claim | None = None
        self.claim_changed = False
        self.queued: tuple[str | None, str, int] | None = None
        self.taken = False
        self.deadline: int | None = None
        self.events = job.events
        self.position = job.position
        self.updated = "0-0"
        self.progressed: str | None = None
        self.heard: str | None = None
        self.stages = {stage.name: at for at, stage in enumerate(job.stages)}
        self.indicators = {indicator.label: indicator for indicator in job.indicators}
        self.units: dict[str, Unit | None] = {}
        self.units_complete = False
        self.units_text = 0
        self.touched_units: dict[str, None] = {}
        self.new_members: dict[str, int] = {}
        self.units_dropped = False
        self.indexed: Indexed | None = None


def silent_since(state: State) -> int:
    """When progress was reported last, or else when a worker took the job up; in ms, 0 before both."""
    job = state.job
    known = [parse_rfc3339(text) for text in (job.started_at, job.resumed_at, job.progressed_at) if text is not None]
    if state.progressed is not None:
        known.append(millis(state.progressed))
    return max(known, default=0)


def refresh(state: State) -> None:
    """Work out what reads the whole job: the stages' percents and durations, the current stage, the percent."""
    job, sums = state.job, state.sums
    percent = _of_stages(state) if job.stages else None
    if percent is None:
        if sums.units is not None and sums.units.units:
            percent = sums.units.percent()
        elif job.indicators:
            percent = share_of_indicators(job.indicators)[0]
        elif not job.stages:
            percent = job.percent
    job.percent = None if percent is None else _shown(percent)


def _shown(percent: float) -> float:
    return 0.0 if percent <= 0 else 100.0 if percent >= 100 else round(percent, 2)


def _of_stages(state: State) -> float | None:
    """Percent by the weights of the stages that aren't skipped; None where nothing is left to weigh."""
    job, sums = state.job, state.sums
    now = millis(state.updated)
    current = None
    weight = points = 0.0
    for stage, own in zip(job.stages, sums.stages, strict=True):
        if stage.status == "skipped":
            continue
        weight += stage.weight
        if stage.status == "finished":
            points += stage.weight * 100.0
        elif stage.status == "running":
            if current is None:
                current = stage.name
            if own.started is not None:
                stage.duration_seconds = (now - own.started) / 1000
            percent = own.reported if own.reported is not None else _of_members(state, stage.name, own)
            if percent is None:
                stage.percent = None
            else:
                stage.percent = _shown(percent)
                points += stage.weight * min(100.0, max(0.0, percent))
    job.current_stage = current
    weight += max(0, sums.total_stages - len(job.stages))
    return points / weight if weight > 0 else None


def _of_members(state: State, name: str, own: StageSums) -> float | None:
    """A stage's percent out of the units, or else the indicators, that name it."""
    if own.units is not None and own.units.units:
        return own.units.percent()
    labels = [label for label, stage in state.sums.indicator_stages.items() if stage == name]
    return share_of_indicators([state.indicators[label] for label in labels])[0] if labels else None


def share_of_indicators(indicators: Iterable[Indicator]) -> tuple[float, float]:
    """The percent of several counters together, and their total."""
    done: float | int = 0
    total: float | int = 0
    for indicator in indicators:
        done += indicator.done
        total += indicator.total
    return 100.0 * done / total if total > 0 else 0.0, total
