"""What ``top`` does: jobs come into its screen, keys do what they are for, and it is drawn."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec
from rich.console import Console

from streamproc.access import open_client
from streamproc.cli import bars
from streamproc.cli.canvas import Canvas, can_draw, draw_as_it_changes
from streamproc.cli.keys import can_type, typed, typing
from streamproc.cli.screen import Screen
from streamproc.cli.stopping import Stopping, stopping_by_signals
from streamproc.cli.typical import Typical
from streamproc.client import Change, Client, Refused
from streamproc.crowd import MOST_JOBS, Crowd
from streamproc.errors import ServerError, StreamprocError
from streamproc.filters import ACTIVE
from streamproc.links import Link

__all__ = ["show", "system_warning"]

Json = dict[str, Any]
Wanted = Mapping[str, str | Sequence[str]]

_SYSTEM_SECONDS: Final = 10.0
_MANY_BEHIND: Final = 10_000
_logger = logging.getLogger("streamproc")


async def show(url: str, namespace: str, wanted: Wanted, sort: str) -> None:
    """Show the active jobs that match: live on a terminal until somebody ends it, else once."""
    console = Console(highlight=False)
    async with open_client(url, namespace) as client:
        if can_draw(console):
            await _live(client, wanted, sort, console)
        else:
            await _once(client, wanted, sort)


async def _once(client: Client, wanted: Wanted, sort: str) -> None:
    screen = Screen(sort, Link(), Typical(client, lambda: None), lambda job, wish: None)
    async for job in client.jobs(MOST_JOBS, **({"status": ACTIVE} | dict(wanted))):
        screen.take(Change(job["job_id"], msgspec.json.encode(job)))
    bars.show(screen.table(screen.rows(), bars.width()))


async def _live(client: Client, wanted: Wanted, sort: str, console: Console) -> None:
    link = Link()
    async with stopping_by_signals() as stopping, anyio.create_task_group() as tasks:

        def ask(job: str, wish: str) -> None:
            tasks.start_soon(_ask, client, screen, job, wish)

        typical = Typical(client, lambda: screen.board.touch())
        screen = Screen(sort, link, typical, ask, lambda: crowd.more)
        crowd = Crowd(client, wanted, screen.take, link)
        for task in (crowd.run, typical.run):
            tasks.start_soon(task)
        tasks.start_soon(_look_after_the_system, client, screen)
        tasks.start_soon(_draw, console, screen)
        tasks.start_soon(_type, screen, stopping)
        await stopping.asked.wait()
        tasks.cancel_scope.cancel()


async def _draw(console: Console, screen: Screen) -> None:
    with Canvas(console, whole=True) as canvas:
        await draw_as_it_changes(canvas, lambda: screen.picture(console.width, console.height), screen.board)


async def _type(screen: Screen, stopping: Stopping) -> None:
    if not can_type():
        return
    with typing():
        async for key in typed():
            screen.key(key)
            if screen.ended:
                break
    stopping.signal()


async def _ask(client: Client, screen: Screen, job: str, wish: str) -> None:
    try:
        await client.ask(job, wish)
    except StreamprocError as error:
        screen.say(f"{job} can't be asked to {wish}: {error}", "bold red")
    else:
        screen.say(f"{job} is asked to {wish}", "green")


async def _look_after_the_system(client: Client, screen: Screen) -> None:
    """Tell of what is wrong with it, now and then. Who may not know isn't told."""
    while True:
        try:
            screen.warning = system_warning(await client.system())
        except Refused as error:
            _logger.debug("how the system stands isn't told: %s", error)
            return
        except ServerError as error:
            _logger.debug("how the system stands isn't known: %s", error)
        await anyio.sleep(_SYSTEM_SECONDS)


def system_warning(system: Json) -> str:
    """What of the answer of ``GET /v1/system`` somebody should look at."""
    partitions = system["partitions"]
    idle = sum(partition["owner"] is None for partition in partitions)
    behind = sum(partition["lag"] or 0 for partition in partitions)
    dead = sum(partition["dead_letters"] for partition in partitions)
    told = [
        *([f"nobody folds {idle:,} of {len(partitions):,} partitions: start a projector"] if idle else []),
        *([f"{behind:,} events are not folded yet"] if behind > _MANY_BEHIND else []),
        *([f"{dead:,} dead letters"] if dead else []),
    ]
    return "; ".join(told) + ("; see streamproc doctor" if told else "")
