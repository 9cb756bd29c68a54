"""Live streams as server-sent events: ``GET /v1/jobs/{id}/stream`` of one job, ``GET /v1/stream`` of many."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent, InvalidPosition, UnknownJob
from streamproc.gateway import messages
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import connection_of
from streamproc.gateway.identity import check_seen, identity_of
from streamproc.gateway.lists import filter_of
from streamproc.gateway.live import LiveResponse
from streamproc.gateway.parameters import choice, invalid, job_of, last_event_id, texts
from streamproc.gateway.places import Places, Start
from streamproc.gateway.sets import MOST_JOBS
from streamproc.wire import check_job_id

__all__ = ["get_many", "get_stream"]

_NO_FILTER: Final = ("events", "after")


async def get_stream(request: Request) -> Response:
    """Snapshots, the newest at a time; or with ``events=all`` every event, after the client's own position."""
    backend: Backend = request.app.state.backend
    opened = backend.get()
    job, token, lossless = job_of(request), last_event_id(request), _lossless(request)
    client = _client(request)
    await opened.fanout.follow(client, {job: Start(token)}, lossless=lossless)
    try:
        live = client.followers[job].channel.watch.look()
        if live is None:
            raise UnknownJob(f"there is no job {job}")
        check_seen(request, job, live.snapshot)
    except BaseException:
        opened.fanout.drop(client)
        raise
    return LiveResponse(client, opened.fanout.drop)


async def get_many(request: Request) -> Response:
    """The same of many jobs: of those that are named, or of those that match a filter and haven't ended.

    A job that is named and isn't there is silent until it is.
    """
    if "job" in request.query_params:
        return await _named(request)
    return await _moving(request)


async def _named(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    opened = backend.get()
    jobs, lossless = _jobs(request), _lossless(request)
    places = Places("\n".join(jobs), jobs, lambda: opened.hub.horizons)
    client = _client(request, places)
    await _resume(request, opened, places)
    wanted = {job: places.start(job, opened.hub.partition(job)) for job in jobs}
    await opened.fanout.follow(client, wanted, lossless=lossless)
    unknown = [job for job in jobs if client.followers[job].is_unknown]
    first = messages.sse_of_many("unknown", messages.names(unknown), None, None) if unknown else b""
    return LiveResponse(client, opened.fanout.drop, first)


async def _moving(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    opened = backend.get()
    identity, lossless = identity_of(request), _lossless(request)
    query = [item for item in request.query_params.multi_items() if item[0] not in _NO_FILTER]
    what = (urlencode(sorted(query)), identity.kinds, identity.owners, identity.jobs)
    moving = opened.sets.of(what, filter_of(request, identity))
    places = Places(what[0], (), lambda: moving.horizons)
    await _resume(request, opened, places)
    client = _client(request, places, endless=True)
    member = moving.member(client, lossless=lossless)

    def release(client: Client) -> None:
        member.end()
        opened.fanout.drop(client)

    try:
        opened.fanout.admit(client)
        jobs = await member.begin()
    except BaseException:
        release(client)
        raise
    return LiveResponse(client, release, messages.sse_of_many("jobs", messages.names(jobs), None, None))


async def _resume(request: Request, opened: Opened, places: Places) -> None:
    """Go on from where the client was, if it was there before."""
    token = request.headers.get("last-event-id") or request.query_params.get("after")
    if token is None:
        return
    try:
        places.resume(token)
    except InvalidPosition as error:
        raise invalid("after", str(error)) from None
    places.check(await opened.store.cursors(places.partitions))


def _jobs(request: Request) -> list[str]:
    """The jobs that a stream of many is of."""
    named = texts(request, "job", most=MOST_JOBS) or ()
    for job in named:
        try:
            check_job_id(job)
        except InvalidEvent as error:
            raise invalid("job", str(error)) from None
    return list(dict.fromkeys(named))


def _client(request: Request, places: Places | None = None, *, endless: bool = False) -> Client:
    form = messages.sse if places is None else messages.sse_of_many
    return Client(
        connection_of(request.scope),
        form,
        identity_of(request),
        request.app.state.backend.config.stream_seconds,
        places=places,
        endless=endless,
    )


def _lossless(request: Request) -> bool:
    return choice(request, "events", ("all",)) is not None
