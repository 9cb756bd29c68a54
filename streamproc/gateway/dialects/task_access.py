"""What the routes of tasks share: the envelope of every answer, reading a task, and appending what happens to one."""

from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.claims import Held
from streamproc.errors import InvalidEvent, ServerError, UnknownJob
from streamproc.events import Event
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.control import folded
from streamproc.gateway.dialects.task_shapes import Task, job_named, priority_of, task_of
from streamproc.gateway.identity import check_seen
from streamproc.gateway.measured import template_of
from streamproc.gateway.problems import Problem
from streamproc.gateway.tracing import traceparent
from streamproc.position import START
from streamproc.telemetry.gateway import APPENDED
from streamproc.wire import check_job_id, decode, encode

__all__ = ["answer", "append", "checked", "held_of", "job_of", "opened_of", "read_task", "refusal"]

_FOLD_SECONDS: Final = 1.0
_THEIRS: Final = {"kind": "type", "worker": "worker_id"}
_json: Final = msgspec.json.Encoder().encode


def answer(status: int, data: Any, message: str) -> Response:
    """An answer in its envelope."""
    body = _json({"success": True, "data": data, "message": message})
    return Response(body, status, {"cache-control": "no-store"}, "application/json")


def refusal(problem: Problem) -> bytes:
    """A problem in the same."""
    message = "there is no such task" if problem.name == "unknown-job" else problem.detail
    return _json({"success": False, "data": None, "message": message})


def opened_of(request: Request) -> Opened:
    backend: Backend = request.app.state.backend
    return backend.get()


def job_of(request: Request) -> str:
    """The job of the path's task. Raises `UnknownJob` where there can be none."""
    job = job_named(request.path_params["task"])
    try:
        return check_job_id(job)
    except InvalidEvent:
        raise UnknownJob(f"there is no job {job[:200]!r}") from None


async def held_of(request: Request, job: str) -> tuple[Held, bytes]:
    """What is stored of a job that who asks may see: with who holds it, and its snapshot. Raises `UnknownJob`."""
    held = await opened_of(request).claims.held(job)
    check_seen(request, job, held.snapshot)
    if held.snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    return held, held.snapshot


async def read_task(request: Request, job: str) -> Task:
    """A task as it is now. Raises `UnknownJob`."""
    held, snapshot = await held_of(request, job)
    first = await opened_of(request).store.history(job, START, 1)
    return task_of(snapshot, priority_of(first), held.params, held.claim)


async def append(request: Request, event: Event) -> None:
    """Append an event, and wait until it shows, as who asks next expects; but not for long: it is in the log."""
    opened = opened_of(request)
    event.trace = traceparent(request)
    [position] = await opened.log.append([(event.job, encode(checked(event)))])
    APPENDED.labels(template_of(request.scope)).inc()
    with suppress(ServerError):  # it is in the log
        await folded(opened.hub, event.job, position, _FOLD_SECONDS)


def checked(event: Event) -> Event:
    """An event as its reader will have it. Raises `InvalidEvent`, naming the field as the dialect does."""
    try:
        return decode(encode(event))
    except InvalidEvent as error:
        raise InvalidEvent(error.reason, _THEIRS.get(error.field or "", error.field)) from None
