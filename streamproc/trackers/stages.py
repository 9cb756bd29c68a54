"""A tracker for weighted stages."""

import time
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from streamproc.errors import JobCanceled
from streamproc.trackers import fitting
from streamproc.trackers.reporting import JobReport, Tracker

if TYPE_CHECKING:
    from streamproc.trackers.reporting import Connection

__all__ = ["Stage", "StageContext", "StageProgress", "StageStatus"]


class StageStatus(Enum):
    """How a stage stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Stage:
    """A stage. Its weight is relative to the others'; `sub_progress` is its own percent; times are `time.time`."""

    name: str
    weight: float = 1.0
    status: StageStatus = StageStatus.PENDING
    started_at: float | None = None
    completed_at: float | None = None
    error: str | None = None
    sub_progress: float = 0.0


@dataclass
class StageProgress(Tracker["_Report"]):
    """The stages of a job. What it is told of a stage that it doesn't have, it ignores.

    With a connection, the job ends when the last stage is complete, or one fails.

    Args:
        job_id: which job.
        stages: in their order.
        on_update: called with `to_dict` after each change. What it raises goes up.
        sp: the connection to report to; None keeps it in memory.
        attempt: which attempt at the job this is, from 1; a higher one starts its progress again.

    Raises:
        ValueError, TypeError: with a connection, where the id or the attempt can't be one.
    """

    job_id: str
    stages: list[Stage] = field(default_factory=list)
    on_update: Callable[[dict[str, Any]], object] | None = None
    sp: InitVar["Connection | None"] = field(default=None, kw_only=True)
    attempt: InitVar[int | None] = field(default=None, kw_only=True)

    def __post_init__(self, sp: "Connection | None", attempt: int | None) -> None:
        self._report = None if sp is None else _Report(sp, self.job_id, attempt)

    def add_stage(self, name: str, weight: float = 1.0) -> None:
        """Add a stage behind the others."""
        self.stages.append(Stage(name, weight))
        if self._report is not None and self._report.begun:
            self._report.tell(self.stages)

    @property
    def total_weight(self) -> float:
        """The weight of all stages."""
        return sum(stage.weight for stage in self.stages)

    @property
    def completed_weight(self) -> float:
        """The weight that is done: of a running stage as much as its own percent."""
        completed = 0.0
        for stage in self.stages:
            if stage.status is StageStatus.COMPLETED:
                completed += stage.weight
            elif stage.status is StageStatus.RUNNING:
                completed += stage.weight * (stage.sub_progress / 100)
        return completed

    @property
    def overall_percent(self) -> float:
        """How far the job is, from 0 to 100; 0 where nothing weighs anything."""
        total = self.total_weight
        return 0 if total == 0 else (self.completed_weight / total) * 100

    @property
    def current_stage(self) -> Stage | None:
        """The first stage that runs."""
        return next((stage for stage in self.stages if stage.status is StageStatus.RUNNING), None)

    def start_stage(self, name: str) -> None:
        """A stage begins."""
        if (stage := self._find(name)) is not None:
            stage.status = StageStatus.RUNNING
            stage.started_at = time.time()
            self._changed()

    def update_stage_progress(self, name: str, progress: float) -> None:
        """A stage is so far, from 0 to 100. It counts while the stage runs."""
        if (stage := self._find(name)) is not None:
            stage.sub_progress = min(100, max(0, progress))
            self._changed()

    def complete_stage(self, name: str) -> None:
        """A stage is done."""
        if (stage := self._find(name)) is not None:
            stage.status = StageStatus.COMPLETED
            stage.sub_progress = 100
            stage.completed_at = time.time()
            self._changed()

    def fail_stage(self, name: str, error: str) -> None:
        """A stage failed."""
        if (stage := self._find(name)) is not None:
            stage.status = StageStatus.FAILED
            stage.error = error
            stage.completed_at = time.time()
            self._changed()

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON can say it: its percent to 1 place, and each stage with its duration in seconds."""
        current = self.current_stage
        return {
            "job_id": self.job_id,
            "overall_percent": round(self.overall_percent, 1),
            "current_stage": None if current is None else current.name,
            "stages": [
                {
                    "name": stage.name,
                    "status": stage.status.value,
                    "progress": stage.sub_progress,
                    "duration": (stage.completed_at or time.time()) - stage.started_at if stage.started_at else None,
                }
                for stage in self.stages
            ],
        }

    def __enter__(self) -> Self:
        if self._report is not None:
            self._report.tell(self.stages)
        return super().__enter__()

    def _find(self, name: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def _changed(self) -> None:
        if self._report is not None:
            self._report.tell(self.stages)
        if self.on_update is not None:
            self.on_update(self.to_dict())


class StageContext:
    """A stage as a ``with`` block: it starts and completes it. An exception fails it, and goes on up.

    `JobCanceled` fails nothing: the stage stays as far as it was, and the job is canceled.
    """

    def __init__(self, progress: StageProgress, stage_name: str) -> None:
        self.progress = progress
        self.stage_name = stage_name

    def __enter__(self) -> Self:
        self.progress.start_stage(self.stage_name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if error is None:
            self.progress.complete_stage(self.stage_name)
        elif isinstance(error, JobCanceled):
            self.progress.cancel(error.reason)
        else:
            self.progress.fail_stage(self.stage_name, str(error))
        return False

    def update(self, percent: float) -> None:
        """The stage is so far, from 0 to 100."""
        self.progress.update_stage_progress(self.stage_name, percent)


_State = tuple[StageStatus, float | None, str | None]
"""What there is to say of a stage: its status, its percent while it runs, why it failed."""

_UNTOLD: Final[_State] = (StageStatus.PENDING, None, None)
_ENDED: Final = frozenset({StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.SKIPPED})


class _Report(JobReport):
    """What is said of the stages: all that differs from what was said before, whoever changed it."""

    def __init__(self, sp: "Connection", job_id: str, attempt: int | None) -> None:
        super().__init__(sp, job_id, attempt)
        self._declared: dict[str, float] = {}
        self._told: dict[str, _State] = {}

    def tell(self, stages: list[Stage]) -> None:
        named = _named(stages)
        now = {name: _state(stage) for name, stage in named.items()}
        weights = {name: fitting.amount(stage.weight) for name, stage in named.items()}
        news = [name for name, state in now.items() if state != self._told.get(name, _UNTOLD)]
        if not news and weights == self._declared:
            return
        failing = any(now[name][0] is StageStatus.FAILED for name in news)
        if self.begin(None if weights == self._declared and not self.ended else weights):
            self._told.clear()
        self._declared = weights
        for name, state in now.items():
            if state != self._told.get(name, _UNTOLD):
                self._say(name, state)
        if not self.inside and (failing or all(status in _ENDED for status, _, _ in now.values())):
            self.close()

    def _say(self, name: str, state: _State) -> None:
        status, percent, error = state
        before = self._told.get(name, _UNTOLD)
        stage = self._job.stage(name)
        match status:
            case StageStatus.RUNNING:
                if before[0] is not status:
                    stage.start()
                if percent or before[0] is status:
                    stage.percent(percent or 0)
            case StageStatus.COMPLETED:
                stage.finish()
            case StageStatus.FAILED:
                stage.fail(error or "")
            case StageStatus.SKIPPED:
                stage.skip()
        self._told[name] = state

    def close(self) -> None:
        """Fail the job by the first stage that failed, or else finish it."""
        for status, _, error in self._told.values():
            if status is StageStatus.FAILED:
                return self.fail(error or "")
        return self.finish()


def _state(stage: Stage) -> _State:
    percent = (fitting.finite(stage.sub_progress) or 0) if stage.status is StageStatus.RUNNING else None
    error = str(stage.error) if stage.status is StageStatus.FAILED else None
    return stage.status, percent, error


def _named(stages: list[Stage]) -> dict[str, Stage]:
    """The stages by the names that they have in the log, where no two can have the same."""
    named: dict[str, Stage] = {}
    for stage in stages:
        name, number = fitting.name(stage.name), 1
        while name in named:
            number += 1
            name = fitting.name(f"{stage.name} ({number})")
        named[name] = stage
    return named
