"""A tracker for one bar: percentages, steps, items, or only a message."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from streamproc.producer.parts import Stage
from streamproc.trackers import fitting
from streamproc.trackers.reporting import JobReport, Tracker

if TYPE_CHECKING:
    from streamproc.producer.job import AnyJob
    from streamproc.trackers.reporting import Connection

__all__ = ["ProgressEvent", "ProgressTracker", "ProgressType"]

_MOST_STAGES: Final = 1_000_000


class ProgressType(Enum):
    """What a report is made of."""

    PERCENTAGE = "percentage"
    STAGE = "stage"
    ITEMS = "items"
    INDETERMINATE = "indeterminate"


@dataclass
class ProgressEvent:
    """A report of progress; what its type doesn't need is None. The timestamp is local time, without a zone."""

    job_id: str
    type: ProgressType
    timestamp: datetime = field(default_factory=datetime.now)
    percent: float | None = None
    stage: str | None = None
    stage_index: int | None = None
    total_stages: int | None = None
    completed_items: int | None = None
    total_items: int | None = None
    message: str | None = None
    details: dict[str, Any] | None = None
    estimated_remaining_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it: the type's value, the timestamp in ISO format, the estimate as `estimated_remaining`."""
        said = dict(vars(self))
        said["type"] = self.type.value
        said["timestamp"] = self.timestamp.isoformat()
        said["estimated_remaining"] = said.pop("estimated_remaining_seconds")
        return said


class ProgressTracker(Tracker["_Report"]):
    """Turns what the work says into progress events: kept in `history`, and handed to a callback.

    With a connection, the job ends when `percentage` reaches 100. `stage` and `items` don't end it, as they may be
    at their last with work still to do.

    Args:
        job_id: which job.
        on_progress: called with each event. What it raises goes up.
        sp: the connection to report to; None keeps it in memory.
        attempt: which attempt at the job this is, from 1; a higher one starts its progress again.

    Raises:
        ValueError, TypeError: with a connection, where the id or the attempt can't be one.
    """

    def __init__(
        self,
        job_id: str,
        on_progress: Callable[[ProgressEvent], object] | None = None,
        *,
        sp: "Connection | None" = None,
        attempt: int | None = None,
    ) -> None:
        self.job_id = job_id
        self.on_progress = on_progress
        self.history: list[ProgressEvent] = []
        self.start_time = datetime.now()
        self._report = None if sp is None else _Report(sp, job_id, attempt)

    def emit(self, event: ProgressEvent) -> None:
        """Report an event. The others are shorthands for it."""
        self.history.append(event)
        if self._report is not None:
            self._report.tell(event)
        if self.on_progress is not None:
            self.on_progress(event)

    def percentage(self, percent: float, message: str | None = None) -> None:
        """Report how far it is, from 0 to 100, and how many seconds it will take yet at the pace so far."""
        remaining = None
        if percent > 0:
            elapsed = (datetime.now() - self.start_time).total_seconds()
            remaining = elapsed / (percent / 100) - elapsed
        self.emit(
            ProgressEvent(
                self.job_id,
                ProgressType.PERCENTAGE,
                percent=percent,
                message=message,
                estimated_remaining_seconds=remaining,
            )
        )

    def stage(self, name: str, index: int, total: int, message: str | None = None) -> None:
        """Report that the stage of this name begins, which is number `index`, from 1, of `total`."""
        self.emit(
            ProgressEvent(
                self.job_id,
                ProgressType.STAGE,
                percent=_percent(index, total),
                stage=name,
                stage_index=index,
                total_stages=total,
                message=message,
            )
        )

    def items(self, completed: int, total: int, message: str | None = None) -> None:
        """Report so many items of a total; of the stage, where one has begun."""
        self.emit(
            ProgressEvent(
                self.job_id,
                ProgressType.ITEMS,
                percent=_percent(completed, total),
                completed_items=completed,
                total_items=total,
                message=message,
            )
        )

    def indeterminate(self, message: str) -> None:
        """Report that it goes on, and that nobody knows how far it is."""
        self.emit(ProgressEvent(self.job_id, ProgressType.INDETERMINATE, message=message))


def _percent(part: float, total: float) -> float:
    return (part / total) * 100 if total > 0 else 0


class _NumberedStage(Stage):
    """A stage that knows its number, so that those which are still to come weigh in before they have a name."""

    def __init__(self, job: "AnyJob", event: ProgressEvent) -> None:
        super().__init__(job, fitting.name(event.stage), None)
        self._told = {
            "index": fitting.whole(event.stage_index, _MOST_STAGES),
            "total_stages": fitting.whole(event.total_stages, _MOST_STAGES),
            "message": fitting.text(event.message),
            "details": fitting.details(event.details),
        }

    def _facts(self) -> dict[str, Any]:
        return self._told


class _Report(JobReport):
    """What is said of the job: of the job itself, or of its stage from the first one on."""

    def __init__(self, sp: "Connection", job_id: str, attempt: int | None) -> None:
        super().__init__(sp, job_id, attempt)
        self._begin_stages()

    def _begin_stages(self) -> None:
        self._stage: Stage | None = None
        self._passed: set[str] = set()
        self._total = 0

    def tell(self, event: ProgressEvent) -> None:
        percent = fitting.finite(event.percent)
        complete = event.type is ProgressType.PERCENTAGE and percent is not None and percent >= 100
        if complete and self.ended:
            return
        if self.begin():
            self._begin_stages()
        message, details = fitting.text(event.message), fitting.details(event.details)
        if complete and not self.inside:
            self.finish(message=message)
        elif event.type is ProgressType.STAGE:
            self._enter_stage(event)
        elif event.type is ProgressType.ITEMS:
            done, total = fitting.amount(event.completed_items), fitting.amount(event.total_items)
            (self._stage or self._job).items(done, total, message, details)
        elif event.type is ProgressType.INDETERMINATE or percent is None:
            (self._stage or self._job).indeterminate(message)
        elif self._stage is None:
            self._job.percent(percent, message, details)
        else:
            self._stage.percent(self._within_stage(percent), message, details)

    def finish(self, result: Any = UNSET, message: str | None = None) -> None:
        if not self.ended:
            self._pass_stage()
        super().finish(result, message)

    def fail(self, error: BaseException | str) -> None:
        if not self.ended and self._stage is not None:
            self._stage.fail(error)
        super().fail(error)

    def _enter_stage(self, event: ProgressEvent) -> None:
        stage = _NumberedStage(self._job, event)
        if self._stage is None or self._stage.name != stage.name:
            self._pass_stage()
        self._stage = stage.start()
        self._passed.discard(stage.name)
        total = fitting.whole(event.total_stages, _MOST_STAGES)
        if total is not None:
            self._total = total

    def _pass_stage(self) -> None:
        if self._stage is not None:
            self._stage.finish()
            self._passed.add(self._stage.name)
            self._stage = None

    def _within_stage(self, percent: float) -> float:
        """How far the stage must be for the job to be so far, by the equal weights of all stages."""
        stages = max(self._total, len(self._passed) + 1)
        return min(100.0, max(0.0, percent * stages - 100 * len(self._passed)))
