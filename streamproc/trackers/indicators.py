"""Counters that the tasks of a job share: each task adds to what there is to do, and to what is done.

A task may fail and be executed again. Only what its last attempt counted is counted; the first count of a new attempt
takes back what the one before had added.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streamproc.producer.found import ProgressIndicator
from streamproc.trackers import fitting
from streamproc.trackers.reporting import JobReport, Tracker

if TYPE_CHECKING:
    from streamproc.trackers.reporting import Connection

__all__ = ["ExecutionContext", "IndicatorTracker", "TaskIndicator"]

DEFAULT_LABEL: Final = "progress"


@dataclass
class _Counted:
    """What the last attempt at a task counted, by label: done and total."""

    attempt: int = 1
    counts: dict[str, list[float]] = field(default_factory=dict)


class IndicatorTracker(Tracker["_Report"]):
    """The counters of a job, which its tasks add to.

    With a connection, tasks may run in any number of processes, each with a tracker of the same job; `progress` is
    what was counted in this one, and ``sp.find(job_id).progress`` is the whole. Counting neither starts nor ends the
    job: ``with`` does in the process that leads it, or `finish` and `fail`.

    Args:
        job_id: which job.
        sp: the connection to report to; None keeps it in memory.
        attempt: which attempt at the job this is, from 1; a higher one starts its progress again.

    Raises:
        ValueError, TypeError: with a connection, where the id or the attempt can't be one.
    """

    def __init__(self, job_id: str, *, sp: "Connection | None" = None, attempt: int | None = None) -> None:
        self.job_id = job_id
        self._report = None if sp is None else _Report(sp, job_id, attempt)
        self._labels: dict[str, None] = {}
        self._tasks: dict[str, _Counted] = {}
        self._attempts: dict[str, int] = {}

    def task(self, name: str, attempt: int | None = None) -> "ExecutionContext":
        """What one attempt at a task is executed with.

        Args:
            name: of the task, unique in its job.
            attempt: from 1. None takes the one after the last that this tracker knows of; where attempts at a task
                run in several processes, only the caller knows.
        """
        known = self._attempts.get(name, 0)
        if attempt is None:
            attempt = known + 1
        self._attempts[name] = max(known, attempt)
        return ExecutionContext(self, name, attempt)

    @property
    def progress(self) -> list[ProgressIndicator]:
        """The indicators, in the order of their first counts, each the sum over its tasks."""
        tasks = list(self._tasks.values())
        found = []
        for label in list(self._labels):
            counts = [task.counts[label] for task in tasks if label in task.counts]
            total, done = sum(total for _, total in counts), sum(done for done, _ in counts)
            found.append(ProgressIndicator(label, total, done))
        return found

    def _count(self, context: "ExecutionContext", label: str, done: float, total: float) -> None:
        if self._report is not None:
            self._report.count(context.task, context.attempt, label, done, total)
        task = self._tasks.setdefault(context.task, _Counted())
        if context.attempt > task.attempt:
            task.attempt = context.attempt
            task.counts = {}
        if context.attempt == task.attempt:
            self._labels[label] = None
            mine = task.counts.setdefault(label, [0, 0])
            mine[0] += done
            mine[1] += total


class ExecutionContext:
    """One attempt at a task. Made by `IndicatorTracker.task`."""

    def __init__(self, tracker: IndicatorTracker, task: str, attempt: int) -> None:
        self.job_id = tracker.job_id
        self.task = task
        self.attempt = attempt
        self._tracker = tracker

    def progress(self, label: str = DEFAULT_LABEL) -> "TaskIndicator":
        """The indicator of this label, to count on."""
        return TaskIndicator(self, fitting.name(label))

    def _count(self, label: str, done: float, total: float) -> None:
        self._tracker._count(self, label, fitting.amount(done), fitting.amount(total))


class TaskIndicator:
    """A counter as a task sees it. Made by `ExecutionContext.progress`."""

    def __init__(self, context: ExecutionContext, label: str) -> None:
        self.label = label
        self._context = context

    def add(self, n: float = 1) -> None:
        """So much more there is to do."""
        self._context._count(self.label, done=0, total=n)

    def done(self, n: float = 1) -> None:
        """So much more is done."""
        self._context._count(self.label, done=n, total=0)


class _Report(JobReport):
    """What is said of the counters, each count as the share of a unit, which is the task."""

    def count(self, task: str, attempt: int, label: str, done: float, total: float) -> None:
        self._job.unit(fitting.name(task), attempt=attempt).count(label, done=done, total=total)
