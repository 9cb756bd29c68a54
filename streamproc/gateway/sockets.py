"""``WS /v1/ws``: live streams of many jobs over one WebSocket. Its messages are documented in docs/live.md."""

from typing import Any, Final, Literal

import anyio
import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamproc.errors import StreamprocError
from streamproc.gateway import messages
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import connection_of
from streamproc.gateway.identity import identity_of
from streamproc.gateway.lists import filter_of
from streamproc.gateway.parameters import token_of
from streamproc.gateway.places import Start
from streamproc.gateway.problems import Problem, problem_of
from streamproc.gateway.sets import MOST_JOBS, Member
from streamproc.wire import check_job_id

__all__ = ["CLOSE", "get_socket"]

CLOSE: Final = {"stopping": 1012, "age": 1001, "slow": 1013, "expired": 3000}
"""By why a client's stream is over; 1000 otherwise."""
_NO_JSON: Final = 1007
_MOST_SETS: Final = 16
Mode = Literal["snapshots", "events"]
RequestId = str | int | None


class Subscribe(Struct, tag_field="type", tag="subscribe", forbid_unknown_fields=True):
    """Follow jobs, or with `filter` (the query of ``GET /v1/stream``) those that match it and haven't ended."""

    request: RequestId = None
    jobs: list[str] | None = None
    filter: str | None = None
    mode: Mode = "snapshots"


class Resume(Struct, tag_field="type", tag="resume", forbid_unknown_fields=True):
    """Follow jobs, each from where its token says."""

    after: dict[str, str]
    request: RequestId = None
    mode: Mode = "snapshots"


class Unsubscribe(Struct, tag_field="type", tag="unsubscribe", forbid_unknown_fields=True):
    """Follow jobs no longer; with `filter` those that matched it."""

    request: RequestId = None
    jobs: list[str] | None = None
    filter: str | None = None


class Ping(Struct, tag_field="type", tag="ping", forbid_unknown_fields=True):
    """Ask for a sign of life."""

    request: RequestId = None


_decode: Final = msgspec.json.Decoder(Subscribe | Resume | Unsubscribe | Ping).decode


async def get_socket(socket: WebSocket) -> None:
    """Serve one WebSocket until it is over."""
    backend: Backend = socket.app.state.backend
    opened = backend.get()
    await socket.accept()
    client = Client(
        connection_of(socket.scope), messages.frame, identity_of(socket), backend.config.stream_seconds,
        beat=b"", endless=True,
    )  # fmt: skip
    opened.fanout.clients.add(client)
    conversation = _Conversation(opened, client)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_converse, socket, conversation)
            await client.run()
            tasks.cancel_scope.cancel()
    finally:
        conversation.end()
        opened.fanout.drop(client)
    code = CLOSE.get(client.reason or "", 1000)
    if client.reason != "gone":
        with anyio.move_on_after(1.0):
            await socket.close(code, client.reason)


async def _converse(socket: WebSocket, conversation: "_Conversation") -> None:
    try:
        while True:
            await conversation.answer(await socket.receive_text())
    except WebSocketDisconnect:
        conversation.client.lost()
    except KeyError:  # a binary frame
        conversation.client.close("unsupported")


class _Conversation:
    """What one client asks for.

    Args:
        client: it.
    """

    def __init__(self, opened: Opened, client: Client) -> None:
        self.client = client
        self._opened = opened
        self._sets: dict[str, Member] = {}

    def end(self) -> None:
        for member in self._sets.values():
            member.end()

    async def answer(self, text: str) -> None:
        """Do what a message asks for, and say so, or why not."""
        try:
            asked = _decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            self._say("error", _problem(Problem(400, "invalid-message", str(error)), None))
            return
        try:
            name, data = await self._done(asked)
        except (Problem, StreamprocError) as error:
            self._say("error", _problem(problem_of(error), asked.request))
        else:
            self._say(name, {"request": asked.request, **data})

    def _say(self, name: str, data: dict[str, Any]) -> None:
        self.client.say(self.client.form(name, msgspec.json.encode(data), None, None))

    async def _done(self, asked: Subscribe | Resume | Unsubscribe | Ping) -> tuple[str, dict[str, Any]]:
        match asked:
            case Ping():
                return "pong", {}
            case Unsubscribe():
                return "unsubscribed", {"jobs": self._unsubscribed(asked)}
            case Resume():
                after = {job: Start(token_of("after", token)) for job, token in asked.after.items()}
                return "subscribed", {"jobs": await self._follow(after, asked.mode)}
            case Subscribe(jobs=None, filter=str(query)):
                return "subscribed", {"jobs": await self._follow_set(query, asked.mode)}
            case Subscribe(jobs=list(jobs), filter=None):
                return "subscribed", {"jobs": await self._follow(dict.fromkeys(jobs, Start()), asked.mode)}
        raise _refused("name jobs, or a filter")

    async def _follow(self, wanted: dict[str, Start], mode: Mode) -> list[str]:
        followed = self.client.followers
        for job in wanted:
            check_job_id(job)
            if job in followed and followed[job].done:
                self._opened.fanout.leave(self.client, job)
        if again := sorted(wanted.keys() & followed.keys()):
            raise _refused(f"job {again[0]} is followed already; unsubscribe first")
        if len(followed) + len(wanted) > MOST_JOBS:
            raise _refused(f"one connection follows up to {MOST_JOBS} jobs")
        await self._opened.fanout.follow(self.client, wanted, lossless=mode == "events")
        return list(wanted)

    async def _follow_set(self, query: str, mode: Mode) -> list[str]:
        if query in self._sets:
            raise _refused("this filter is followed already; unsubscribe first")
        if len(self._sets) == _MOST_SETS:
            raise _refused(f"one connection follows up to {_MOST_SETS} filters")
        identity = self.client.identity
        # The same parameters as those of a request, so that a filter means the same wherever it is given.
        request = Request({"type": "http", "query_string": query.encode(), "headers": []})
        wanted = filter_of(request, identity)
        what = (query, identity.kinds, identity.owners, identity.jobs)
        member = self._opened.sets.of(what, wanted).member(self.client, lossless=mode == "events")
        self._sets[query] = member
        try:
            return await member.begin()
        except BaseException:
            self._sets.pop(query).end()
            raise

    def _unsubscribed(self, asked: Unsubscribe) -> list[str]:
        if asked.filter is not None:
            member = self._sets.pop(asked.filter, None)
            if member is None:
                raise _refused("this filter isn't followed")
            return member.end()
        jobs = [job for job in asked.jobs or () if job in self.client.followers]
        for job in jobs:
            self._opened.fanout.leave(self.client, job)
        return jobs


def _refused(why: str) -> Problem:
    return Problem(400, "invalid-message", why)


def _problem(problem: Problem, request: RequestId) -> dict[str, Any]:
    return {"request": request, **problem.document()}
