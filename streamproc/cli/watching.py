"""``watch``: a job to its end, or all that are active; live in a terminal, else as lines."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import click
import msgspec

from streamproc.cli.options import Command, Failure, Setting, run
from streamproc.cli.reading import source
from streamproc.cli.stopping import stopping_by_signals

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from streamproc.client import Client

__all__ = ["watch"]

Json = dict[str, Any]


@click.command(cls=Command)
@click.argument("job", required=False)
@click.option("--kind", cls=Setting, help="Without JOB: only jobs of this kind.")
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="Each snapshot as a line on stdout.")
@source
def watch(job: str | None, kind: str | None, as_json: bool, url: str, namespace: str) -> None:
    """Follow JOB to its end, or all active jobs until Ctrl-C.

    With JOB the exit code is 0 where it finished, 1 where it failed or was canceled. A terminal keeps on trying where
    the connection is lost, and says so; else that is an error after a few tries.
    """
    from streamproc.access import open_client

    async def one(job: str) -> Json:
        async with open_client(url, namespace) as client:
            return await (_copy(client.watch(job)) if as_json else _one(client, job))

    async def active() -> None:
        wanted = {"kind": kind} if kind else {}
        async with (
            open_client(url, namespace) as client,
            stopping_by_signals() as stopping,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_copy_all if as_json else _all, client, wanted)
            await stopping.asked.wait()
            tasks.cancel_scope.cancel()

    if job is None:
        run(active)
        return
    if kind is not None:
        raise click.UsageError("--kind is for all jobs: leave out the job, or the kind")
    last = run(lambda: one(job))
    if last["status"] != "finished":
        raise Failure(f"{job} {last['status']}")


async def _copy(snapshots: AsyncIterator[bytes]) -> Json:
    last = b""
    async for snapshot in snapshots:
        last = snapshot
        click.echo(snapshot)
    return dict(msgspec.json.decode(last))


async def _copy_all(client: "Client", wanted: dict[str, str]) -> None:
    async for change in client.follow(wanted):
        if change.snapshot is not None:
            click.echo(change.snapshot)


async def _one(client: "Client", job: str) -> Json:
    """Live bars on a terminal, else a line for each snapshot that says something new."""
    from rich.console import Console

    from streamproc.cli.bars import plain_line

    console = Console(stderr=True)
    if console.is_terminal:
        return await _draw_one(client, job, console)
    state: Json = {}
    said = ""
    async for snapshot in client.watch(job):
        state = msgspec.json.decode(snapshot)
        if plain_line(state) != said:
            said = plain_line(state)
            click.echo(said, err=True)
    return state


async def _draw_one(client: "Client", job: str, console: "Console") -> Json:
    from rich.console import Group
    from rich.live import Live

    from streamproc.cli import bars, live
    from streamproc.links import Link

    board, link = live.Board(), Link()
    state: Json = {}

    def picture() -> "RenderableType":
        # Of the rows one third is for stages, one for indicators, and the rest for what every job has.
        shown = [bars.details(each, most=max(1, console.height // 3 - 3)) for each in board]
        return Group(*shown) if state.get("status") in live.FINAL else Group(*shown, live.link_line(link))

    with Live(console=console, get_renderable=picture, auto_refresh=False) as drawn:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.refresh, drawn)
            async for snapshot in client.watch(job, link):
                state = board.put(snapshot)
            tasks.cancel_scope.cancel()
    return state


async def _all(client: "Client", wanted: dict[str, str]) -> None:
    """A table on a terminal, with a line above for each job that has ended; else lines of new statuses and stages."""
    from rich.console import Console

    from streamproc.cli.bars import plain_line
    from streamproc.cli.live import Board

    console = Console(stderr=True)
    if console.is_terminal:
        await _draw_all(client, wanted, console)
        return
    board, said = Board(), dict[str, tuple[str, str | None, bool]]()
    async for change in client.follow(wanted):
        if change.snapshot is None:
            board.drop(change.job)
            said.pop(change.job, None)
            continue
        state = board.put(change.snapshot)
        heading = (state["status"], state["current_stage"], state["stalled"])
        if said.get(change.job) != heading:
            said[change.job] = heading
            click.echo(plain_line(state), err=True)


async def _draw_all(client: "Client", wanted: dict[str, str], console: "Console") -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from streamproc.cli import bars, live
    from streamproc.links import Link

    board, link = live.Board(), Link()

    def picture() -> "RenderableType":
        fitting, states = max(1, console.height - 4), list(board)
        more = f", {len(states) - fitting:,} not shown" if len(states) > fitting else ""
        line = live.link_line(link, f": {len(states):,} active{more}")
        return Group(bars.jobs_table(states[:fitting]), line) if states else line

    with Live(console=console, get_renderable=picture, auto_refresh=False) as drawn:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.refresh, drawn)
            async for change in client.follow(wanted, link):
                if change.snapshot is not None:
                    board.put(change.snapshot)
                elif (last := board.drop(change.job)) is not None and last["status"] in live.FINAL:
                    console.print(Text(bars.plain_line(last), no_wrap=True, overflow="ellipsis"))
