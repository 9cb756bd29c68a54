"""``top``: the active jobs on the whole screen, sorted."""

import time
from typing import TYPE_CHECKING, Final

import anyio
import click
import msgspec

from streamproc.cli.options import Command, Setting, run
from streamproc.cli.reading import source
from streamproc.cli.stopping import Stopping, stopping_by_signals

if TYPE_CHECKING:
    from rich.console import Console

    from streamproc.cli.screen import Screen
    from streamproc.client import Client
    from streamproc.links import Link

__all__ = ["top"]

_SORTS: Final = ("left", "percent", "rate", "job", "kind", "stage", "worker", "stalled")
_ACTIVE: Final = ("queued", "started", "running", "paused")
_MOST: Final = 200


@click.command(cls=Command)
@click.option("--sort", cls=Setting, type=click.Choice(_SORTS), default="left", help="What the jobs are sorted by.")
@click.option("--kind", cls=Setting, help="Only jobs of this kind.")
@source
def top(sort: str, kind: str | None, url: str, namespace: str) -> None:
    """Show the active jobs, the newest 200, on the whole screen.

    Keys: q ends, s sorts by what comes next, / filters by the words that are typed then up to Enter, Esc shows all.
    Where stdout is no terminal, the table is printed once.
    """
    from rich.console import Console

    from streamproc.access import open_client
    from streamproc.cli import bars
    from streamproc.cli.screen import Screen
    from streamproc.links import Link

    console, link = Console(), Link()
    screen = Screen(sort, link)
    wanted = {"kind": kind} if kind else {}

    async def main() -> None:
        async with open_client(url, namespace) as client:
            if not console.is_terminal:
                async for job in client.jobs(_MOST, status=_ACTIVE, **wanted):
                    screen.board.put(msgspec.json.encode(job))
                return
            async with stopping_by_signals() as stopping, anyio.create_task_group() as tasks:
                tasks.start_soon(_follow, client, wanted, screen, link)
                tasks.start_soon(_draw, screen, console, stopping)
                await stopping.asked.wait()
                tasks.cancel_scope.cancel()

    run(main)
    if not console.is_terminal:
        bars.show(screen.table(screen.rows()))


async def _follow(client: "Client", wanted: dict[str, str], screen: "Screen", link: "Link") -> None:
    async for change in client.follow(wanted, link):
        if change.snapshot is None:
            screen.board.drop(change.job)
            screen.rates.drop(change.job)
        else:
            screen.rates.put(screen.board.put(change.snapshot), time.monotonic())


async def _draw(screen: "Screen", console: "Console", stopping: Stopping) -> None:
    from rich.live import Live

    from streamproc.cli import live, typed

    with Live(
        console=console, get_renderable=lambda: screen.picture(console.height), auto_refresh=False, screen=True
    ) as drawn:
        if not typed.can_type():
            await live.refresh(drawn)
            return
        with typed.typing():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(live.refresh, drawn)
                async for character in typed.typed():
                    screen.key(character)
                    drawn.refresh()
                    if screen.ended:
                        break
                stopping.signal()
