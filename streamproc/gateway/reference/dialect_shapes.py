"""What the dialects put around jobs, as types for the document."""

from typing import Final, Literal

from msgspec import Struct

from streamproc.gateway.dialects.overviews import Overview
from streamproc.gateway.dialects.progress import ProgressReport
from streamproc.gateway.dialects.status import Status
from streamproc.gateway.dialects.task_reports import CompleteTask, FailTask, ReportTask
from streamproc.gateway.dialects.task_shapes import ListedTask, Task, TaskId, TaskRow
from streamproc.gateway.dialects.tasks import ClaimTask, NewTask

__all__ = ["ASKED", "TOLD"]


class ProgressHistory(Struct):
    """What has been reported of a job, as far as it counted."""

    history: list[ProgressReport]


class ProgressRefusal(Struct):
    """What is wrong, in the dialect of progress tracking."""

    error: str


class StatusRefusal(Struct):
    """What is wrong, in the dialect of a status and a socket."""

    detail: str


class TaskRefusal(Struct):
    """What is wrong, in the dialect of a task manager."""

    success: Literal[False]
    data: None
    message: str


class TaskAnswer(Struct):
    """A task, in its envelope; its data is null where none was to be claimed."""

    success: Literal[True]
    data: Task | None
    message: str


class CreatedTask(Struct):
    """The number of a task that was created, and of its type; with all of it, if it is folded already."""

    id: TaskId
    type_id: int | None


class CreatedTaskAnswer(Struct):
    """A task that was created, in its envelope."""

    success: Literal[True]
    data: CreatedTask
    message: str


class NotedProgress(Struct):
    """How far a task is."""

    id: TaskId
    progress: int


class NotedProgressAnswer(Struct):
    """How far a task is, in its envelope."""

    success: Literal[True]
    data: NotedProgress
    message: str


class TaskList(Struct):
    """Some tasks, and how many these are."""

    tasks: list[ListedTask]
    count: int
    limit: int
    offset: int


class TaskListAnswer(Struct):
    """Some tasks, in their envelope."""

    success: Literal[True]
    data: TaskList
    message: str


class TaskHistory(Struct):
    """What became of a task."""

    task_id: TaskId
    history: list[TaskRow]


class TaskHistoryAnswer(Struct):
    """What became of a task, in its envelope."""

    success: Literal[True]
    data: TaskHistory
    message: str


ASKED: Final = (NewTask, ClaimTask, ReportTask, CompleteTask, FailTask)
"""What clients send."""
TOLD: Final = (
    Overview, ProgressHistory, ProgressRefusal, Status, StatusRefusal, TaskRefusal, TaskAnswer, CreatedTaskAnswer,
    NotedProgressAnswer, TaskListAnswer, TaskHistoryAnswer,
)  # fmt: skip
"""What they are sent."""
