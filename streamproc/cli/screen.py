"""The screen of ``top``: which rows in which order, and what keys do."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamproc.cli import bars
from streamproc.cli.live import Board, link_line
from streamproc.cli.rates import Rates
from streamproc.links import Link

__all__ = ["Screen"]

Json = dict[str, Any]

_HELP: Final = "q ends, s sorts, / filters"
_ENTER: Final = "\r\n"
_ESCAPE: Final = "\x1b"
_BACKSPACE: Final = "\x7f\b"


class Screen:
    """Active jobs, sorted and filtered.

    Args:
        sort: by which of `sorts`.
        link: how they come.

    Attributes:
        board: their newest states.
        rates: how fast they go.
        ended: somebody has typed q.
    """

    def __init__(self, sort: str, link: Link) -> None:
        self.board = Board()
        self.rates = Rates()
        self.ended = False
        self._sort = sort
        self._link = link
        self._words = ""
        self._typing = False
        self._sorts: dict[str, Callable[[Json], Any]] = {
            "left": _left,
            "percent": lambda job: -(-1 if job["percent"] is None else job["percent"]),
            "rate": lambda job: -(self.rates.per_second(job, time.monotonic()) or 0),
            "job": lambda job: job["job_id"],
            "kind": lambda job: job["kind"] or "",
            "stage": lambda job: job["current_stage"] or "",
            "worker": lambda job: job["worker"] or "",
            "stalled": lambda job: not job["stalled"],
        }

    def key(self, character: str) -> None:
        """Do what a key is for."""
        if character == _ESCAPE:
            self._typing, self._words = False, ""
        elif self._typing and character in _ENTER:
            self._typing = False
        elif self._typing and character in _BACKSPACE:
            self._words = self._words[:-1]
        elif self._typing and character.isprintable():
            self._words += character
        elif character == "/":
            self._typing = True
        elif character == "s":
            names = list(self._sorts)
            self._sort = names[(names.index(self._sort) + 1) % len(names)]
        elif character == "q":
            self.ended = True

    def picture(self, height: int) -> RenderableType:
        """The screen of so many rows."""
        jobs = self.rows()
        line = link_line(self._link, f": {len(jobs):,} of {len(self.board):,} active jobs, by {self._sort}; {_HELP}")
        if self._typing or self._words:
            asked = Text(f"/{self._words}{'_' if self._typing else ''}", "bold", no_wrap=True)
            return Group(line, asked, self.table(jobs[: max(1, height - 4)]))
        return Group(line, self.table(jobs[: max(1, height - 3)]))

    def rows(self) -> list[Json]:
        """The jobs that have all the words somewhere, in their order."""
        words = self._words.lower().split()
        found = [job for job in self.board if all(word in _words(job) for word in words)]
        return sorted(found, key=self._sorts[self._sort])

    def table(self, jobs: Iterable[Json]) -> Table:
        """A row for each job."""
        table, now = (
            bars.table_of("JOB", "KIND", "STATUS", "", "%", "RATE", "LEFT", "STAGE", "WORKER"),
            time.monotonic(),
        )
        for job in jobs:
            table.add_row(
                bars.text(job["job_id"]),
                bars.text(job["kind"]),
                bars.status(job),
                bars.bar(job),
                bars.percent(job["percent"]),
                self.rates.text(job, now),
                bars.left(job),
                bars.text(job["current_stage"]),
                bars.text(job["worker"]),
            )
        return table


def _left(job: Json) -> float:
    remaining = (job["eta"] or {}).get("remaining_seconds")
    return float("inf") if remaining is None else float(remaining["p50"])


def _words(job: Json) -> str:
    fields = ("job_id", "kind", "title", "status", "current_stage", "worker")
    return " ".join(job[name] or "" for name in fields).lower()
