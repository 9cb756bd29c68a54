"""What the events of a stage do."""

from collections.abc import Callable

from projections.job import Stage, StageSums, State, refresh
from projections.progress import Effect, begin, items_of, share_of
from streamproc.events import Event, Mark
from streamproc.projection import millis, rfc3339

__all__ = ["MAX_STAGES", "STAGE_EFFECTS", "find_stage", "wake_stage"]

MAX_STAGES = 1000


def find_stage(state: State, name: str, event: Event | None = None) -> int | None:
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
        at = find_stage(state, event.stage, event)
        if at is None:
            return Mark.OVER_LIMIT
        stage, own = state.job.stages[at], state.sums.stages[at]
        if reports and stage.status not in ("pending", "running"):
            return Mark.LATE
        begin(state, position, "running")
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


def wake_stage(state: State, name: str, position: str) -> None:
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
        items = items_of(own.items, event.done, event.total)
        own.items = state.job.items = items
        if percent is None:
            percent = share_of(items)
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


STAGE_EFFECTS: dict[str, Effect] = {
    "stage.started": _stage_effect(_stage_started),
    "stage.progressed": _stage_effect(_stage_progressed, reports=True),
    "stage.finished": _stage_effect(_stage_finished),
    "stage.failed": _stage_effect(_stage_failed),
    "stage.skipped": _stage_effect(_stage_skipped),
}
