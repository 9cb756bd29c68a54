"""Jobs as tasks, and their events as the rows of a table of what became of them."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from streamproc.events import PROGRESS, Error, Event
from streamproc.log import Entry
from streamproc.position import millis, rfc3339
from streamproc.queues import Claim
from streamproc.wire import decode

__all__ = [
    "STATUSES",
    "ListedTask",
    "TaskRow",
    "Rows",
    "Task",
    "TaskId",
    "id_of",
    "job_named",
    "listed_task",
    "priority_of",
    "task_of",
]

STATUSES: Final = {
    "pending": ("queued",),
    "claimed": ("started", "running", "paused"),
    "completed": ("finished",),
    "failed": ("failed", "canceled"),
}
"""Ours, by theirs."""
_OURS: Final = {ours: theirs for theirs, statuses in STATUSES.items() for ours in statuses}
_NUMBERED: Final = re.compile(r"task-([1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")

TaskId = int | str


def id_of(job: str) -> TaskId:
    """A job's id as a task: the number of one that was created as such, and its own id of any other."""
    match = _NUMBERED.fullmatch(job)
    return job if match is None else int(match[1])


def job_named(task: TaskId) -> str:
    """The job of a task."""
    return f"task-{task}" if _NUMBER.fullmatch(str(task)) else str(task)


class ListedTask(Struct, kw_only=True):
    """A task in a list. `status` is pending, claimed, completed or failed; `progress` a whole number, rounded down."""

    id: TaskId
    type: str | None
    status: str
    priority: int
    progress: int
    attempts: int
    claimed_by: str | None
    claimed_at: str | None
    created_at: str | None
    completed_at: str | None


class Task(ListedTask, kw_only=True):
    """A task. `error` says why it failed."""

    params: Any
    result: Any
    error: str | None


class TaskRow(Struct):
    """What became of a task. `id` counts from 1.

    `status_change` is created, claimed, progress_update, released, completed or failed.
    """

    id: int
    task_id: TaskId
    status_change: str
    worker_id: str | None
    message: str | None
    created_at: str


class _Job(Struct):
    """What is read of a snapshot."""

    job_id: str
    kind: str | None
    status: str
    percent: float | None
    worker: str | None
    attempt: int
    result: msgspec.Raw
    error: Error | None
    created_at: str | None
    started_at: str | None
    resumed_at: str | None
    finished_at: str | None


_decode: Final = msgspec.json.Decoder(_Job).decode
_encode: Final = msgspec.json.Encoder().encode
_NULL: Final = msgspec.Raw(b"null")


def listed_task(snapshot: bytes, priority: int) -> ListedTask:
    """A task in a list, of its snapshot."""
    return ListedTask(**_facts(_decode(snapshot), priority, None))


def task_of(snapshot: bytes, priority: int, params: bytes | None, claim: Claim | None) -> Task:
    """A task, of its snapshot and what else is stored of it."""
    job = _decode(snapshot)
    given = _NULL if params is None else msgspec.Raw(params)
    return Task(**_facts(job, priority, claim), params=given, result=job.result, error=_why(job))


def _facts(job: _Job, priority: int, claim: Claim | None) -> dict[str, Any]:
    status = _OURS[job.status]
    claimed_at = job.resumed_at or job.started_at
    if claim is not None:
        claimed_at = rfc3339(millis(claim.position))
    waits = status == "pending"
    return {
        "id": id_of(job.job_id),
        "type": job.kind,
        "status": status,
        "priority": priority,
        "progress": int(job.percent or 0),
        "attempts": job.attempt - (job.started_at is None),
        "claimed_by": None if waits else job.worker,
        "claimed_at": None if waits else claimed_at,
        "created_at": job.created_at,
        "completed_at": job.finished_at,
    }


def _why(job: _Job) -> str | None:
    if job.status == "canceled":
        return "canceled"
    return None if job.error is None else job.error.detail or job.error.type


def priority_of(entries: Sequence[Entry]) -> int:
    """The priority that a task was created with: its first event tells."""
    return (decode(entries[0][1][1]).priority if entries else None) or 0


class Rows:
    """Makes the rows of one task, in order.

    Args:
        task: its id.
    """

    def __init__(self, task: TaskId) -> None:
        self.count = 0
        self._task = task

    def row(self, entry: Entry) -> bytes | None:
        """A row; None of what changed nothing."""
        position, fields = entry
        event = decode(fields[1])
        change = None if len(fields) > 2 else _CHANGES.get(event.type)
        if change is None:
            return None
        self.count += 1
        created_at = rfc3339(millis(position.decode()))
        return _encode(TaskRow(self.count, self._task, change, event.worker, _message(event), created_at))


_CHANGES: Final = {
    "job.queued": "created",
    "job.claimed": "claimed",
    "job.started": "claimed",
    "job.released": "released",
    "job.finished": "completed",
    "job.failed": "failed",
    "job.canceled": "failed",
} | dict.fromkeys(PROGRESS, "progress_update")


def _message(event: Event) -> str | None:
    if event.error is not None:
        return event.error.detail or event.error.type
    said = event.message or event.reason
    if event.type != "job.progressed" or event.percent is None:
        return said
    far = f"Progress: {event.percent:g}%"
    return far if said is None else f"{far} - {said}"
