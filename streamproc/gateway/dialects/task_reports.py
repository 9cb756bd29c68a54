"""What a worker says of a task that it has claimed: how far it is, what came of it, why it failed."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.events import Error, Event, Name, Text
from streamproc.gateway.control import body_of
from streamproc.gateway.dialects.task_access import answer, append, held_of, job_of, read_task
from streamproc.gateway.dialects.task_shapes import id_of
from streamproc.gateway.problems import Problem

__all__ = ["CompleteTask", "FailTask", "ReportTask", "post_complete", "post_fail", "post_progress"]


class ReportTask(Struct):
    """How far a task is."""

    worker_id: Name
    progress: Annotated[int, Meta(ge=0, le=100)]
    message: Text | None = None


class CompleteTask(Struct):
    """What came of a task."""

    worker_id: Name
    result: Any = None


class FailTask(Struct):
    """Why a task failed."""

    worker_id: Name
    error: Annotated[str, Meta(min_length=1, max_length=10_000)]


async def post_progress(request: Request) -> Response:
    """Report how far a task is. 400 where it isn't claimed, 403 where another worker has it."""
    job, asked = job_of(request), await body_of(request, ReportTask)
    told = Event(job=job, type="job.progressed", percent=asked.progress, message=asked.message)
    await _tell(request, asked.worker_id, told)
    return answer(200, {"id": id_of(job), "progress": asked.progress}, "the progress is noted")


async def post_complete(request: Request) -> Response:
    """End a task that is done."""
    job, asked = job_of(request), await body_of(request, CompleteTask)
    await _tell(request, asked.worker_id, Event(job=job, type="job.finished", result=asked.result))
    return answer(200, await read_task(request, job), "the task is completed")


async def post_fail(request: Request) -> Response:
    """End a task that can't be done."""
    job, asked = job_of(request), await body_of(request, FailTask)
    await _tell(request, asked.worker_id, Event(job=job, type="job.failed", error=Error("TaskFailed", asked.error)))
    return answer(200, await read_task(request, job), "the task has failed")


async def _tell(request: Request, worker: str, event: Event) -> None:
    held, _ = await held_of(request, event.job)
    claim = held.claim
    if claim is None or not claim.held:
        raise Problem(400, "not-claimed", "the task is not claimed")
    if claim.worker != worker:
        raise Problem(403, "claimed-by-another", "the task is claimed by another worker")
    event.worker, event.attempt = worker, claim.attempt
    await append(request, event)
