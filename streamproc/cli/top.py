"""``top``: the active jobs on the whole screen, sorted."""

from typing import Any

import click

from streamproc.cli.options import Command, Setting, run
from streamproc.cli.reading import source
from streamproc.cli.sorting import SORTS
from streamproc.cli.wanted import filters, wanted_of
from streamproc.filters import ACTIVE

__all__ = ["top"]


@click.command(cls=Command)
@click.option("--sort", cls=Setting, type=click.Choice(SORTS), default="left", help="What the jobs are sorted by.")
@filters(ACTIVE)
@source
def top(sort: str, url: str, namespace: str, **given: Any) -> None:
    """Show the active jobs, or those of them that match, on the whole screen.

    Keys: q ends; up, down and Enter choose and open a job; c, p and r cancel, pause and resume it; / filters by the
    words that are typed up to Enter; T, P, R, A and S sort by time left, percent, rate, age and silence; ? tells of
    all keys. Where stdout is no terminal, the table is printed once.
    """
    from streamproc.cli import overview

    run(lambda: overview.show(url, namespace, wanted_of(given), sort))
