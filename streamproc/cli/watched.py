"""What ``watch`` does: jobs come over a stream into a board, and are drawn, said in lines or copied."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import anyio
import msgspec
from rich.console import Console

from streamproc.access import open_client
from streamproc.cli.canvas import can_draw
from streamproc.cli.live import FINAL
from streamproc.cli.stopping import stopping_by_signals
from streamproc.cli.views import Copied, Lines, OneDrawn, Table, View
from streamproc.client import Client
from streamproc.crowd import Crowd
from streamproc.errors import UnknownJob

__all__ = ["MOST_NAMED", "Outcome", "watch_all", "watch_named"]

MOST_NAMED: Final = 200


class Outcome(NamedTuple):
    """What became of jobs that were watched.

    Args:
        ended: the final statuses of those that have ended.
        waiting: those that have not.
        stopped: somebody stopped it before.
    """

    ended: dict[str, str]
    waiting: list[str]
    stopped: bool


class _Status(msgspec.Struct):
    """What is read of a snapshot here."""

    status: str


async def watch_named(
    url: str, namespace: str, jobs: Sequence[str], wait: bool, seconds: float | None, as_json: bool
) -> Outcome:
    """Follow jobs to their ends.

    Args:
        wait: whether one that isn't there is waited for.
        seconds: at most; None is for ever.

    Raises:
        UnknownJob: one isn't there.
    """
    ended: dict[str, str] = {}
    async with open_client(url, namespace) as client:
        if not wait:
            await _see_that_they_are_there(client, jobs)
        view = _view_of_named(client, jobs, as_json)
        async with stopping_by_signals() as stopping, anyio.create_task_group() as tasks:
            tasks.start_soon(view.run)
            tasks.start_soon(_follow_to_the_end, client, jobs, view, ended, tasks.cancel_scope)
            tasks.start_soon(_stop, stopping.asked, tasks.cancel_scope)
            if seconds is not None:
                tasks.cancel_scope.deadline = anyio.current_time() + seconds
        waiting = [job for job in jobs if job not in ended]
        return Outcome(ended, waiting, bool(waiting) and stopping.asked.is_set())


def _view_of_named(client: Client, jobs: Sequence[str], as_json: bool) -> View:
    console = Console(stderr=True, highlight=False)
    if as_json:
        return Copied()
    if not can_draw(console):
        return Lines(percent=len(jobs) == 1)
    return OneDrawn(client, console, jobs[0]) if len(jobs) == 1 else Table(console, moving=False)


async def _see_that_they_are_there(client: Client, jobs: Sequence[str]) -> None:
    for job in jobs:
        try:
            await client.snapshot(job)
        except UnknownJob as error:
            raise UnknownJob(f"{error}; --wait waits for it") from error


async def _stop(asked: anyio.Event, scope: anyio.CancelScope) -> None:
    await asked.wait()
    scope.cancel()


async def _follow_to_the_end(
    client: Client, jobs: Sequence[str], view: View, ended: dict[str, str], scope: anyio.CancelScope
) -> None:
    left, statuses = set(jobs), dict[str, str]()
    async for change in client.follow({"job": list(jobs)}, view.link):
        view.take(change)
        if change.snapshot is not None:
            statuses[change.job] = msgspec.json.decode(change.snapshot, type=_Status).status
        elif statuses.get(change.job) in FINAL:
            ended[change.job] = statuses[change.job]
            left.discard(change.job)
            if not left:
                break
    scope.cancel()


async def watch_all(url: str, namespace: str, wanted: Mapping[str, str | Sequence[str]], as_json: bool) -> None:
    """Follow all jobs that match and haven't ended, until somebody stops it."""
    console = Console(stderr=True, highlight=False)
    async with open_client(url, namespace) as client:
        view: View = Copied()
        if not as_json:
            view = Table(console, moving=True, more=lambda: crowd.more) if can_draw(console) else Lines(percent=False)
        crowd = Crowd(client, wanted, view.take, view.link)
        async with stopping_by_signals() as stopping, anyio.create_task_group() as tasks:
            tasks.start_soon(view.run)
            tasks.start_soon(crowd.run)
            await stopping.asked.wait()
            tasks.cancel_scope.cancel()
