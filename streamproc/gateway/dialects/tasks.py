"""The dialect of a task manager: tasks are created, claimed, reported on and listed, by number."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import ServerError, UnknownJob
from streamproc.events import Event, Name
from streamproc.filters import ORDERS, Filter
from streamproc.gateway.backend import Opened
from streamproc.gateway.claims import ClaimAsked, claim_next
from streamproc.gateway.control import body_of
from streamproc.gateway.dialects.histories import history_of
from streamproc.gateway.dialects.task_access import (
    answer,
    append,
    checked,
    held_of,
    job_of,
    opened_of,
    read_task,
    refusal,
)
from streamproc.gateway.dialects.task_reports import post_complete, post_fail, post_progress
from streamproc.gateway.dialects.task_shapes import STATUSES, Rows, id_of, job_named, listed_task, priority_of
from streamproc.gateway.identity import identity_of
from streamproc.gateway.lists import filter_of
from streamproc.gateway.parameters import choice, limit, name, whole
from streamproc.gateway.problems import Problem
from streamproc.gateway.routes import Served
from streamproc.gateway.writable import foreign
from streamproc.position import START

__all__ = ["MOST_OFFSET", "ROUTES", "ClaimTask", "NewTask"]

MOST_OFFSET: Final = 10_000
_LEASE_SECONDS: Final = 3600.0
_PAGE: Final = 500
_MOST_PAGES: Final = 30


class NewTask(Struct):
    """A task to create. That of the highest priority is claimed first."""

    type: Name
    params: Any = None
    priority: int = 0
    max_attempts: int | None = None


class ClaimTask(Struct):
    """Who wants a task, and of which type, by its number or its name; without both of any.

    The task is taken from a worker of which nothing is heard for `lease_seconds`.
    """

    worker_id: Name
    task_type_id: int | None = None
    type: Name | None = None
    lease_seconds: Annotated[float, Meta(ge=1, le=86_400)] = _LEASE_SECONDS


async def post_task(request: Request) -> Response:
    """Create a task. 201 with it, and with the number of its type."""
    opened, asked = opened_of(request), await body_of(request, NewTask)
    event = Event(
        job="-",
        type="job.queued",
        kind=asked.type,
        params=asked.params,
        priority=asked.priority,
        max_attempts=asked.max_attempts,
    )
    checked(event)
    event.job = await _new_job(opened)
    if await foreign(identity_of(request), opened.store, [event]):
        raise UnknownJob(f"job {event.job} would be none of yours")
    number = await opened.numbers.number(asked.type)
    await append(request, event)
    held = await opened.claims.held(event.job)
    task: dict[str, Any] = {"id": id_of(event.job), "type_id": number}
    if held.snapshot is not None:
        task = msgspec.structs.asdict(await read_task(request, event.job)) | task
    return answer(201, task, "the task is created")


async def _new_job(opened: Opened) -> str:
    """A job of the next number; of the one after where somebody has named theirs so."""
    while True:
        job = job_named(await opened.numbers.task())
        if await opened.store.snapshot(job) is None:
            return job


async def post_claim(request: Request) -> Response:
    """Claim the next task by priority, then age. Its data is null where none is pending."""
    opened, asked = opened_of(request), await body_of(request, ClaimTask)
    kind = asked.type
    if asked.task_type_id is not None:
        kind = await opened.numbers.kind(asked.task_type_id)
        if kind is None:
            raise Problem(404, "unknown-type", f"task_type_id: there is no task type {asked.task_type_id}")
    checked(Event(job="-", type="-", kind=kind, worker=asked.worker_id))
    wanted = ClaimAsked(asked.worker_id, [] if kind is None else [kind], asked.lease_seconds)
    found = await claim_next(request, wanted)
    if found is None:
        return answer(200, None, "no task is pending")
    job: str = msgspec.json.decode(found["job"])["job_id"]
    return answer(200, await read_task(request, job), "the task is yours")


async def get_task(request: Request) -> Response:
    """A task as it is now."""
    return answer(200, await read_task(request, job_of(request)), "found")


async def get_tasks(request: Request) -> Response:
    """Tasks, the newest first: `limit` of them from `offset` on, of a `status` and of a `type`."""
    opened, wanted = opened_of(request), _wanted(request)
    most, offset = limit(request), whole(request, "offset", 0, MOST_OFFSET) or 0
    page = await _page(opened, wanted, offset, most)
    firsts = await opened.store.histories([(job, START) for job, _ in page], 1) if page else []
    tasks = []
    for (_, snapshot), first in zip(page, firsts, strict=True):
        if isinstance(first, ServerError):
            raise first
        tasks.append(listed_task(snapshot, priority_of(first)))
    data = {"tasks": tasks, "count": len(tasks), "limit": most, "offset": offset}
    return answer(200, data, "found")


def _wanted(request: Request) -> Filter:
    """What is asked for in the dialect's words, in ours."""
    status, kind = choice(request, "status", tuple(STATUSES)), name(request, "type")
    asked = {} if status is None else {"status": ",".join(STATUSES[status])}
    query = urlencode(asked if kind is None else asked | {"kind": kind})
    ours = Request({"type": "http", "query_string": query.encode(), "headers": []})
    return filter_of(ours, identity_of(request))


async def _page(opened: Opened, wanted: Filter, offset: int, most: int) -> list[tuple[str, bytes]]:
    """Jobs from an offset on. Of a long list of which hardly any may be seen it ends early."""
    found: list[tuple[str, bytes]] = []
    passed, place = 0, None
    for _ in range(_MOST_PAGES):
        page = await opened.listing.page(wanted, ORDERS["-created"], place, min(_PAGE, offset + most - passed))
        found += page.jobs[max(0, offset - passed) :]
        passed += len(page.jobs)
        place = page.place
        if place is None or passed >= offset + most:
            break
    return found


async def get_rows(request: Request) -> Response:
    """What became of a task, row by row."""
    job = job_of(request)
    _, snapshot = await held_of(request, job)
    rows = Rows(id_of(job))
    head = b'{"success":true,"data":{"task_id":%b,"history":[' % msgspec.json.encode(id_of(job))
    return history_of(opened_of(request).store, job, snapshot, rows.row, (head, b']},"message":"found"}'))


ROUTES: Final = tuple(
    Served(served.method, f"{prefix}{served.path}", served.endpoint, served.scope, refusal)
    for prefix in ("", "/api")
    for served in (
        Served("POST", "/tasks", post_task, "events:write"),
        Served("GET", "/tasks", get_tasks, "jobs:read"),
        Served("POST", "/tasks/claim", post_claim, "claims"),
        Served("GET", "/tasks/{task}", get_task, "jobs:read"),
        Served("GET", "/tasks/{task}/history", get_rows, "jobs:read"),
        Served("POST", "/tasks/{task}/progress", post_progress, "claims"),
        Served("POST", "/tasks/{task}/complete", post_complete, "claims"),
        Served("POST", "/tasks/{task}/fail", post_fail, "claims"),
    )
)
