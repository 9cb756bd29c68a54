"""The dialect of progress tracking: a stream of messages without names, a state to poll, and the reports so far."""

from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import UnknownJob
from streamproc.events import PROGRESS, Event
from streamproc.gateway import messages
from streamproc.gateway.backend import Backend
from streamproc.gateway.channels import Channel
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import connection_of
from streamproc.gateway.dialects.histories import history_of
from streamproc.gateway.dialects.overviews import Overviews
from streamproc.gateway.followers import Snapshots
from streamproc.gateway.identity import check_seen, identity_of
from streamproc.gateway.live import LiveResponse
from streamproc.gateway.parameters import job_of, last_event_id
from streamproc.gateway.places import Start
from streamproc.gateway.problems import Problem
from streamproc.gateway.routes import Served
from streamproc.hub import Live
from streamproc.log import Entry
from streamproc.position import Token, key, millis, rfc3339
from streamproc.wire import decode

__all__ = ["ROUTES", "ProgressReport"]

_HEADERS: Final = {"cache-control": "no-cache"}
_ENDS: Final = ("job.finished", "job.failed", "job.canceled")
_json: Final = msgspec.json.Encoder().encode


class ProgressReport(Struct):
    """An event of the history. What it doesn't say is null."""

    job_id: str
    type: str
    timestamp: str
    percent: float | None
    stage: str | None
    stage_index: int | None
    total_stages: int | None
    completed_items: float | int | None
    total_items: float | int | None
    message: str | None
    details: Any
    estimated_remaining: None = None


class _Viewer(Snapshots):
    """Follows overviews, the newest at a time; each comes for them in its own task, as units may have to be read."""

    __slots__ = ("_overviews",)

    def __init__(
        self, overviews: Overviews, client: Client, channel: Channel, token: Token | None, reason: str | None
    ) -> None:
        super().__init__(client, channel, token, reason)
        self._overviews = overviews

    async def _shown(self, live: Live) -> bytes:
        overview = await self._overviews.of(self.channel.job, live.snapshot)
        return b"id: %b\ndata: %b\n\n" % (str(live.token).encode(), overview)

    def offer(self, live: Live, message: bytes) -> None:
        self.client.mark(self)


def _unnamed(name: str, data: bytes, job: str | None, token: str | None) -> bytes:
    """What else is told of streams has no word in this dialect."""
    return messages.COMMENT


async def get_stream(request: Request) -> Response:
    """The job as it is now, and whenever it changes; the stream ends after the job.

    A job that isn't there yet is waited for: pages connect before anybody works. A browser connects again after the
    end, as it does after every end; who has had it is answered 204, and stays away.
    """
    backend: Backend = request.app.state.backend
    opened = backend.get()
    job, token = job_of(request), last_event_id(request)
    client = Client(connection_of(request.scope), _unnamed, identity_of(request), backend.config.stream_seconds)
    viewer = partial(_Viewer, opened.overviews)
    await opened.fanout.follow(client, {job: Start()}, lossless=False, viewer=viewer)
    try:
        live = client.followers[job].channel.watch.look()
        check_seen(request, job, None if live is None else live.snapshot)
    except BaseException:
        opened.fanout.drop(client)
        raise
    if token is not None and live is not None and live.final and _has(token, live):
        opened.fanout.drop(client)
        return Response(None, 204)
    return LiveResponse(client, opened.fanout.drop)


def _has(token: Token, live: Live) -> bool:
    return token.incarnation in ("", live.incarnation) and key(token.position) >= live.place


async def get_progress(request: Request) -> Response:
    """The job as it is now."""
    job, snapshot = await _stored(request)
    backend: Backend = request.app.state.backend
    return Response(await backend.get().overviews.of(job, snapshot), 200, _HEADERS, "application/json")


async def get_history(request: Request) -> Response:
    """What has been reported of the job, as far as it counted."""
    job, snapshot = await _stored(request)
    backend: Backend = request.app.state.backend
    return history_of(backend.get().store, job, snapshot, _row, (b'{"history":[', b"]}"))


async def _stored(request: Request) -> tuple[str, bytes]:
    backend: Backend = request.app.state.backend
    job = job_of(request)
    stored = await backend.get().store.snapshot(job)
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    return job, stored


def _row(entry: Entry) -> bytes | None:
    """A report; None of what reports no progress, or didn't count."""
    position, fields = entry
    if len(fields) > 2:
        return None
    event = decode(fields[1])
    if event.type not in PROGRESS and event.type not in _ENDS:
        return None
    kind, percent = _how_far(event)
    return _json(
        ProgressReport(
            job_id=event.job,
            type=kind,
            timestamp=rfc3339(millis(position.decode())),
            percent=percent,
            stage=event.stage,
            stage_index=event.index,
            total_stages=event.total_stages,
            completed_items=event.done,
            total_items=event.total,
            message=_message(event),
            details=event.details,
        )
    )


def _how_far(event: Event) -> tuple[str, float | None]:
    """The type of a report, and the percent of the job that it tells; that of a unit or a counter isn't the job's."""
    if event.type == "job.finished":
        return "percentage", 100.0
    if event.type.startswith("stage.") and event.index is not None and event.total_stages:
        return "stage", 100.0 * event.index / event.total_stages
    of_the_job = event.type == "job.progressed"
    if event.percent is not None and of_the_job:
        return "percentage", event.percent
    if event.done is not None and event.total is not None:
        share = (100.0 * event.done / event.total if event.total else 0.0) if of_the_job else None
        return "items", share
    return "stage" if event.type.startswith("stage.") else "indeterminate", None


def _message(event: Event) -> str | None:
    if event.message is None and event.error is not None:
        return event.error.detail or event.error.type
    return event.message or event.reason


def _refusal(problem: Problem) -> bytes:
    return _json({"error": "Job not found" if problem.name == "unknown-job" else problem.detail})


ROUTES: Final = (
    Served("GET", "/progress/{job}/stream", get_stream, "jobs:read", _refusal),
    Served("GET", "/api/jobs/{job}/progress", get_progress, "jobs:read", _refusal),
    Served("GET", "/api/jobs/{job}/progress/history", get_history, "jobs:read", _refusal),
)
