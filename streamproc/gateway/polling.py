"""Long polls: ``Prefer: wait=n`` (RFC 7240) has a request answered when the job changes, or after so many seconds."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from starlette.requests import Request

from streamproc.errors import StreamprocError
from streamproc.gateway.backend import Opened
from streamproc.gateway.identity import identity_of, sees
from streamproc.gateway.problems import Problem
from streamproc.gateway.tags import positions_of

__all__ = ["MOST_SECONDS", "changed", "wait_of", "while_there"]

T = TypeVar("T")

MOST_SECONDS: Final = 60


def wait_of(request: Request) -> int | None:
    """How many seconds the request may wait for a change; None where it doesn't ask to. What isn't one is ignored."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            return min(int(seconds), MOST_SECONDS) or None if re.fullmatch(r"[0-9]{1,9}", seconds) else None
    return None


async def changed(request: Request, opened: Opened, job: str, seconds: int) -> bytes | None:
    """What is stored of a job once it isn't what the request's tags name, or after some seconds.

    A request without tags waits for the next change, and one for a job that isn't there yet for its first event. What
    counts is the position in a tag: an estimate that moves on is no change. None where there is no such job still.
    """
    identity = identity_of(request)
    known = positions_of(request)
    with await opened.hub.watch(job) as watch:
        first = watch.look()
        if known is None:
            known = set() if first is None else {first.position}
        with anyio.move_on_after(seconds):
            while not watch.closed:
                live = watch.look()
                if live is not None and live.position not in known and sees(identity, job, live.snapshot):
                    break
                await watch.changed()
        last = watch.look()
    return None if last is None else last.snapshot


async def while_there(request: Request, work: Callable[[], Awaitable[T]]) -> T | None:
    """What work comes to that takes a while; None where the client was gone before."""
    result: T | None = None
    error: Exception | None = None

    async def notice(scope: anyio.CancelScope) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(notice, tasks.cancel_scope)
        try:
            result = await work()
        except (StreamprocError, Problem) as raised:  # as itself, and not in a group
            error = raised
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return result
