"""The dialect of a status and a socket: ``GET /status/{job}``, ``WS /ws/{job}``."""

from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from websockets.frames import Frame, Opcode

from streamproc.errors import UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import connection_of
from streamproc.gateway.identity import check_seen, identity_of
from streamproc.gateway.parameters import job_of
from streamproc.gateway.places import Start
from streamproc.gateway.problems import Problem
from streamproc.gateway.routes import Served
from streamproc.gateway.sockets import CLOSE

__all__ = ["ROUTES", "Status"]

_HEADERS: Final = {"cache-control": "no-cache"}
_CLOSE_SECONDS: Final = 1.0
_json: Final = msgspec.json.Encoder().encode


class Status(Struct):
    """A job. `percent` is a whole number of 0 to 100, as there are progress bars that take no other; 0 where unknown.

    It is rounded down: 100 is nothing less.
    """

    job_id: str
    status: str
    percent: int
    message: str
    result: Any
    error: Any
    updated_at: str | None


class _Job(Struct):
    """What is read of a snapshot."""

    job_id: str
    status: str
    percent: float | None
    message: str | None
    result: msgspec.Raw
    error: msgspec.Raw
    updated_at: str | None


_decode: Final = msgspec.json.Decoder(_Job).decode


def status_of(snapshot: bytes) -> bytes:
    """A job's snapshot in the dialect's words."""
    job = _decode(snapshot)
    percent = int(job.percent or 0)
    return _json(Status(job.job_id, job.status, percent, job.message or "", job.result, job.error, job.updated_at))


async def get_status(request: Request) -> Response:
    """The job as it is now."""
    backend: Backend = request.app.state.backend
    job = job_of(request)
    stored = await backend.get().store.snapshot(job)
    check_seen(request, job, stored)
    if stored is None:
        raise UnknownJob(f"there is no job {job}")
    return Response(status_of(stored), 200, _HEADERS, "application/json")


async def get_socket(socket: WebSocket) -> None:
    """The job as it is now, and whenever it changes; closed after its end. What the client says is not listened to.

    A job that isn't there yet is waited for: pages connect before anybody works.
    """
    backend: Backend = socket.app.state.backend
    opened, job = backend.get(), job_of(socket)
    seconds = backend.config.stream_seconds
    client = Client(connection_of(socket.scope), _frame, identity_of(socket), seconds, beat=b"")
    try:
        await opened.fanout.follow(client, {job: Start()}, lossless=False)
        live = client.followers[job].channel.watch.look()
        check_seen(socket, job, None if live is None else live.snapshot)
        await socket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_listen, socket, client)
            await client.run()
            tasks.cancel_scope.cancel()
    finally:
        opened.fanout.drop(client)
    if client.reason != "gone":
        with anyio.move_on_after(_CLOSE_SECONDS):
            await socket.close(CLOSE.get(client.reason or "", 1000))


async def _listen(socket: WebSocket, client: Client) -> None:
    """Hear that the client goes: a connection whose messages nobody takes isn't read any more."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    client.lost()


def _frame(name: str, data: bytes, job: str | None, token: str | None) -> bytes:
    """Only snapshots have a word in this dialect."""
    return bytes(Frame(Opcode.TEXT, status_of(data)).serialize(mask=False)) if name == "snapshot" else b""


def _refusal(problem: Problem) -> bytes:
    return _json({"detail": "job not found" if problem.name == "unknown-job" else problem.detail})


ROUTES: Final = (
    Served("GET", "/status/{job}", get_status, "jobs:read", _refusal),
    Served("WS", "/ws/{job}", get_socket, "jobs:read", _refusal),
)
