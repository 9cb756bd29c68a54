"""``watch``: jobs to their ends, or all that are active; live in a terminal, else as lines."""

from typing import Any, Final

import click

from streamproc.cli.options import Command, Failure, Setting, run
from streamproc.cli.reading import source
from streamproc.cli.wanted import filters, wanted_of
from streamproc.filters import ACTIVE

__all__ = ["watch"]

Json = dict[str, Any]

_NOT_IN_TIME: Final = 6
_INTERRUPTED: Final = 130


@click.command(cls=Command)
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@filters(ACTIVE)
@click.option("--wait", cls=Setting, is_flag=True, help="Of each JOB: wait for it where it isn't there yet.")
@click.option(
    "--timeout",
    cls=Setting,
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Give up where the JOBs haven't ended by then: exit code 6.",
)
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="Each snapshot as a line on stdout.")
@source
def watch(
    jobs: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    as_json: bool,
    url: str,
    namespace: str,
    **given: Any,
) -> None:
    """Follow each JOB to its end; without, all active jobs, or those that match, until Ctrl-C.

    With JOBs the exit code is 0 where all have finished, 1 where one failed or was canceled, 6 where that took too
    long, 130 after Ctrl-C. A terminal keeps on trying where the connection is lost, and says so; else that is an
    error after a few tries.

    \b
    streamproc watch import-42
    streamproc watch import-42 import-43 --timeout 3600 && echo both are there
    streamproc watch --kind import --label env=prod
    """
    from streamproc.cli import watched

    wanted = wanted_of(given)
    if jobs and wanted:
        raise click.UsageError("a JOB, or what jobs have to match, and not both")
    if not jobs and (wait or timeout is not None):
        raise click.UsageError("--wait and --timeout are for JOBs: name some")
    if len(jobs) > watched.MOST_NAMED:
        raise click.UsageError(f"up to {watched.MOST_NAMED} JOBs; leave them out to watch all")
    if not jobs:
        run(lambda: watched.watch_all(url, namespace, wanted, as_json))
        return
    found = run(lambda: watched.watch_named(url, namespace, tuple(dict.fromkeys(jobs)), wait, timeout, as_json))
    if found.stopped:
        raise click.exceptions.Exit(_INTERRUPTED)
    if found.waiting:
        raise Failure(f"not ended within {timeout:g} s: {', '.join(found.waiting)}", _NOT_IN_TIME)
    others = [f"{job} {status}" for job, status in found.ended.items() if status != "finished"]
    if others:
        raise Failure(", ".join(others))
