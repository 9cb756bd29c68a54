"""``GET /v1/jobs/{id}/stream``: a job, live, as server-sent events (WHATWG HTML, 9.2).

Nothing that a client sent gets into a field but `data`, whose JSON is one line; so no name can make events of its own.
"""

import random
from typing import Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import ServerError, UnknownJob
from streamproc.gateway.backend import Backend
from streamproc.gateway.estimates import Estimates
from streamproc.gateway.history import event_line
from streamproc.gateway.parameters import choice, job_of, last_event_id
from streamproc.gateway.streaming import Streaming, Write
from streamproc.hub import PAGE, Live, Watch
from streamproc.position import START, Token, key

__all__ = ["get_stream"]

_HEARTBEAT_SECONDS: Final = 15.0
_RETRY_SECONDS: Final = 1.0
_COMMENT: Final = b":\n\n"
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}

_REASONS: Final = {
    "incarnation": "the log was begun anew",
    "position": "the position is beyond the end of the history",
    "past": "the job's past has changed",
}


async def get_stream(request: Request) -> Response:
    """Snapshots, the newest at a time; or with ``events=all`` every event, after the client's own position."""
    backend: Backend = request.app.state.backend
    opened = backend.get()
    hub = opened.hub
    job, token = job_of(request), last_event_id(request)
    lossless = choice(request, "events", ("all",)) is not None
    watch = await hub.watch(job)
    try:
        reason = await _reset_reason(watch, token)
        if watch.look() is None:
            raise UnknownJob(f"there is no job {job}")
    except BaseException:
        watch.__exit__(None, None, None)
        raise
    start = token.position if token is not None and reason is None else None
    stream = _Stream(job, watch, opened.estimates, start, reason)
    return Streaming(stream.events if lossless else stream.snapshots, "text/event-stream", _HEADERS, watch)


async def _reset_reason(watch: Watch, token: Token | None) -> str | None:
    """Why a client can't go on from where it was, if it can't."""
    live = watch.look()
    if token is None or live is None:
        return None
    if key(token.position) > live.place:
        await watch.refresh()  # another gateway may have heard of it before this one
        live = watch.look() or live
    if token.incarnation and token.incarnation != live.incarnation:
        return "incarnation"
    return "position" if key(token.position) > live.place else None


class _Stream:
    """One client's stream.

    Args:
        job: its name.
        watch: of the job.
        estimates: for what goes out.
        start: the position that the client has; None where it has nothing.
        reason: why it has to start over, if so.
    """

    def __init__(self, job: str, watch: Watch, estimates: Estimates, start: str | None, reason: str | None) -> None:
        self._job = job
        self._watch = watch
        self._estimates = estimates
        self._start = start
        self._reason = reason
        self._life = watch.life

    async def snapshots(self, write: Write) -> None:
        """The newest snapshot whenever the client is ready for one, up to a final one."""
        await write(_hello())
        sent = None if self._start is None else key(self._start)
        while True:
            live = self._watch.look()
            if live is not None and self._starts_over():
                sent = None
                await write(self._reset())
            if live is not None and (sent is None or live.place > sent):
                sent = live.place
                await write(await self._snapshot(live, str(live.token)))
            if live is not None and live.final:
                await write(_end(live))
                break
            if not await self._change(write):
                break

    async def events(self, write: Write) -> None:
        """Every event after the client's position, up to that which made the job final."""
        await write(_hello())
        position = self._start or START
        while True:
            live = self._watch.look()
            if live is not None and self._starts_over():
                position = START
                # Without an id: a client that breaks off here hasn't the history up to this snapshot.
                await write(self._reset() + await self._snapshot(live, None))
            if live is not None:
                try:
                    entries = await self._watch.history(position)
                except ServerError:
                    if await self._pause(write):
                        continue
                    break
                if entries:
                    position = entries[-1][0].decode()
                    await write(b"".join([_event(live.incarnation, entry[0], event_line(entry)) for entry in entries]))
                if len(entries) == PAGE:
                    continue
                if live.final and key(position) >= live.place:
                    await write(_end(live))
                    break
            if not await self._change(write):
                break

    async def _snapshot(self, live: Live, token: str | None) -> bytes:
        head = b"" if token is None else b"id: %b\n" % token.encode()
        return b"%bevent: snapshot\ndata: %b\n\n" % (head, await self._estimates.served(self._job, live.snapshot))

    def _starts_over(self) -> bool:
        if self._life != self._watch.life:
            self._life = self._watch.life
            self._reason = "past"
        return self._reason is not None

    def _reset(self) -> bytes:
        reason, self._reason = self._reason or "past", None
        data = msgspec.json.encode({"reason": reason, "detail": _REASONS[reason]})
        return b"event: reset\ndata: %b\n\n" % data

    async def _change(self, write: Write) -> bool:
        """Wait until the job changes, with a comment now and then; False where the gateway is stopping."""
        while not self._watch.closed:
            with anyio.move_on_after(_HEARTBEAT_SECONDS):
                await self._watch.changed()
                return not self._watch.closed
            await write(_COMMENT)
        return False

    async def _pause(self, write: Write) -> bool:
        """Let a server that is gone come back; False where the gateway is stopping."""
        with anyio.move_on_after(_RETRY_SECONDS):
            await self._watch.changed()
        await write(_COMMENT)
        return not self._watch.closed


def _hello() -> bytes:
    """When to connect again: not all clients of a gateway that stops in the same moment."""
    return b"retry: %d\n\n" % random.randint(1000, 4000)  # noqa: S311 - to spread clients, not to keep secrets


def _event(incarnation: str, position: bytes, line: bytes) -> bytes:
    return b"id: %b.%b\nevent: event\ndata: %b\n\n" % (incarnation.encode(), position, line)


def _end(live: Live) -> bytes:
    return b"event: end\ndata: %b\n\n" % msgspec.json.encode({"position": live.position})
