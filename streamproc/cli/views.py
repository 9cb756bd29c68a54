"""How jobs that are watched are shown: drawn on a terminal, said in lines where there is none, copied as JSON."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import anyio
import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from streamproc.cli import bars
from streamproc.cli.canvas import Canvas, draw_as_it_changes
from streamproc.cli.clock import Clock
from streamproc.cli.details import details
from streamproc.cli.live import FINAL, Board, Notes, link_line
from streamproc.cli.texts import one_line
from streamproc.cli.typical import Typical
from streamproc.client import Change, Client
from streamproc.crowd import MOST_JOBS
from streamproc.links import Link

__all__ = ["Copied", "Lines", "OneDrawn", "Table", "View"]

Json = dict[str, Any]

_AROUND: Final = 11
"""Rows of one job that are neither for its stages nor for its indicators."""


class View(Protocol):
    """A way to show jobs."""

    @property
    def link(self) -> Link | None:
        """Is to be told how the connection is; None where it mustn't be tried for ever."""

    def take(self, change: Change) -> None:
        """Something became of a job."""

    async def run(self) -> None:
        """Show what comes, until cancelled; then what it has come to stays."""


class Copied:
    """Each snapshot as a line of JSON on stdout."""

    link: Link | None = None

    def take(self, change: Change) -> None:
        if change.snapshot is not None:
            click.echo(one_line(change.snapshot))

    async def run(self) -> None:
        pass


class Lines:
    """A line on stderr where a job's status or stage changes.

    Args:
        percent: whether also where it gets to another percent.
    """

    link: Link | None = None

    def __init__(self, *, percent: bool) -> None:
        self._percent = percent
        self._said: dict[str, tuple[Any, ...]] = {}

    def take(self, change: Change) -> None:
        if change.snapshot is None:
            self._said.pop(change.job, None)
            return
        job = msgspec.json.decode(change.snapshot)
        heading: tuple[Any, ...] = (job["status"], job["current_stage"], job["stalled"])
        if self._percent and job["percent"] is not None:
            heading += (int(job["percent"]),)
        if self._said.get(change.job) != heading:
            self._said[change.job] = heading
            click.echo(bars.plain_line(job), err=True)

    async def run(self) -> None:
        pass


class OneDrawn:
    """One job with its stages, drawn in place."""

    def __init__(self, client: Client, console: Console, job: str) -> None:
        self.link: Link = Link()
        self._console = console
        self._job = job
        self._board = Board()
        self._clock = Clock(self.link)
        self._notes = Notes()
        self._typical = Typical(client, self._board.touch)

    def take(self, change: Change) -> None:
        if change.snapshot is not None:
            self._board.put(change.job, change.snapshot)

    async def run(self) -> None:
        with Canvas(self._console) as canvas:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._typical.run)
                    await draw_as_it_changes(canvas, self._picture, self._board)
            finally:
                canvas.leave(self._picture(whole=True))

    def _picture(self, *, whole: bool = False) -> RenderableType:
        if self._job not in self._board:
            return link_line(self.link, f": {self._job} isn't there yet")
        job, height = self._board[self._job], self._console.height
        self._notes.put(job)
        shown = details(
            job,
            self._clock,
            self._console.width,
            # Of the rows one half is for stages, one for indicators, beside what every job has.
            rows=None if whole else max(1, (height - _AROUND) // 2),
            typical=self._typical.stages(job["kind"]),
            notes=tuple(self._notes),
        )
        return shown if job["status"] in FINAL else Group(shown, link_line(self.link))


class Table:
    """A row for each job, drawn in place.

    Args:
        moving: whether jobs come and go. Those that end leave a line above then, and else stay in the table.
        more: whether there are more jobs than come.
    """

    def __init__(self, console: Console, *, moving: bool, more: Callable[[], bool] = bool) -> None:
        self.link: Link = Link()
        self._console = console
        self._moving = moving
        self._more = more
        self._board = Board()
        self._ended: list[Text] = []

    def take(self, change: Change) -> None:
        if change.snapshot is not None:
            self._board.put(change.job, change.snapshot)
        elif self._moving and (last := self._board.drop(change.job)) is not None and last["status"] in FINAL:
            self._ended.append(Text(bars.plain_line(last), no_wrap=True, overflow="ellipsis"))

    async def run(self) -> None:
        with Canvas(self._console) as canvas:

            def picture() -> RenderableType:
                ended, self._ended = self._ended, []
                for line in ended:
                    canvas.say(line)
                return self._picture(max(1, self._console.height - 4))

            try:
                await draw_as_it_changes(canvas, picture, self._board)
            finally:
                picture()
                canvas.leave(self._picture(None))

    def _picture(self, rows: int | None) -> RenderableType:
        """The table of so many rows, or of all."""
        found = list(self._board)
        shown = found[:rows]
        active = sum(job["status"] not in FINAL for job in found)
        told = f": {active:,} active"
        if self._more():
            told += f" of more than {MOST_JOBS:,}"
        if len(found) > len(shown):
            told += f", {len(found) - len(shown):,} not shown"
        line = link_line(self.link, told)
        return Group(bars.jobs_table(shown, self._console.width), line) if found else line
