"""The commands that read: jobs, one job, its life, kinds, and the log."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from streamproc.cli.options import Command, Setting, run, say
from streamproc.cli.wanted import filters, wanted_of
from streamproc.config import DEFAULT_PORT
from streamproc.filters import ORDERS, STATUSES

__all__ = ["jobs", "kinds", "replay", "show", "source"]

F = TypeVar("F", bound=Callable[..., Any])


def source(function: F) -> F:
    """Give a command the flags that say where jobs are read."""
    url = click.option(
        "--url",
        cls=Setting,
        default=f"http://127.0.0.1:{DEFAULT_PORT}",
        help="A gateway (http://, https://), or a server (redis://) to read without one.",
    )
    namespace = click.option(
        "--namespace", cls=Setting, default="sp", help="What all keys begin with; only for a redis:// URL."
    )
    return url(namespace(function))


@click.command(cls=Command)
@filters(STATUSES)
@click.option(
    "--sort",
    cls=Setting,
    type=click.Choice(tuple(ORDERS)),
    default="-created",
    help="By when jobs were created, started or ended, of those that have; with - the latest first.",
)
@click.option("--limit", cls=Setting, type=click.IntRange(1), default=50, help="At most so many.")
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="One line of JSON a job.")
@source
def jobs(sort: str, limit: int, as_json: bool, url: str, namespace: str, **given: Any) -> None:
    """List jobs, the newest first; of several filters all must hold.

    \b
    streamproc jobs --status running --status paused
    streamproc jobs --kind import --label env=prod --search april
    streamproc jobs --status failed --sort -finished --limit 10
    """
    from streamproc.access import open_client
    from streamproc.cli.texts import one_line

    wanted = wanted_of(given)

    async def main() -> list[dict[str, Any]]:
        async with open_client(url, namespace) as client:
            return [job async for job in client.jobs(limit, sort=sort, **wanted)]

    found = run(main)
    if as_json:
        for job in found:
            click.echo(one_line(msgspec.json.encode(job)))
    elif found:
        from streamproc.cli import bars

        bars.show(bars.jobs_table(found, bars.width()))
    elif wanted or sort.strip("-") != "created":
        say("no job is as asked for")
    else:
        say("there are no jobs yet; `streamproc run -- CMD` makes one of a command")


@click.command(cls=Command)
@click.argument("job")
@click.option(
    "--at",
    cls=Setting,
    metavar="MOMENT",
    help="As it was then: a time (2026-11-22T09:30:00Z), or the position of an event as `streamproc replay` tells it.",
)
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="The snapshot, as it is.")
@source
def show(job: str, at: str | None, as_json: bool, url: str, namespace: str) -> None:
    """Show a job with its stages, units and indicators: as it is, or as it was."""
    from streamproc.access import open_client
    from streamproc.cli.texts import one_line

    async def main() -> bytes:
        async with open_client(url, namespace) as client:
            return await client.snapshot(job, at)

    snapshot = run(main)
    if as_json:
        click.echo(one_line(snapshot))
    else:
        from streamproc.cli import bars
        from streamproc.cli.clock import Clock
        from streamproc.cli.details import details

        found = msgspec.json.decode(snapshot)
        clock = Clock(stopped=None if at is None else found["updated_at"])
        bars.show(details(found, clock, bars.width()))


@click.command(cls=Command)
@click.argument("kind", required=False)
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="One line of JSON a kind; of KIND all that is told.")
@source
def kinds(kind: str | None, as_json: bool, url: str, namespace: str) -> None:
    """List the kinds of jobs, or show KIND: its stages, its latest runs, and how often estimates held."""
    from streamproc.access import open_client
    from streamproc.cli.texts import one_line

    async def main() -> list[bytes]:
        async with open_client(url, namespace) as client:
            if kind is not None:
                return [await client.kind(kind)]
            return [msgspec.json.encode(each) async for each in client.kinds()]

    found = run(main)
    if as_json:
        for each in found:
            click.echo(one_line(each))
    else:
        from streamproc.cli import bars, tables

        decoded = [msgspec.json.decode(each) for each in found]
        bars.show(tables.kinds_table(decoded) if kind is None else tables.kind_details(decoded[0]))


@click.command(cls=Command)
@click.argument("job", required=False)
@source
def replay(job: str | None, url: str, namespace: str) -> None:
    """Print the whole log, or the history of JOB, one line of JSON an event."""
    from streamproc.access import open_client
    from streamproc.cli.texts import one_line

    async def main() -> None:
        async with open_client(url, namespace) as client:
            seen, out = sys.stdout.isatty(), sys.stdout.buffer
            async for line in client.history(job) if job else client.log():
                out.write((one_line(line).encode() if seen else line) + b"\n")
            out.flush()

    run(main)
