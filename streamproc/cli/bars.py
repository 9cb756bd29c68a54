"""Jobs as people see them in a terminal: tables with bars, and plain lines where there is no terminal."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from rich.console import Console, JustifyMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamproc import durations
from streamproc.cli.texts import clean
from streamproc.durations import time_left

__all__ = [
    "MARKS",
    "bar",
    "error_of",
    "jobs_table",
    "left",
    "percent",
    "plain_line",
    "show",
    "status",
    "table_of",
    "text",
    "what",
    "width",
]

Json = dict[str, Any]

_STYLES: Final = {
    "queued": "dim",
    "started": "cyan",
    "running": "cyan",
    "paused": "yellow",
    "finished": "green",
    "failed": "red",
    "canceled": "magenta",
}
_NUMBERS: Final = ("%", "RATE", "LEFT", "UNITS", "AGE", "SILENT")
_WIDE: Final = 160
MARKS: Final = ("↓", "↑")
"""At the heading by which a table is sorted; the second where it is the other way round."""


def width() -> int:
    """How many columns stdout has; many where it is no terminal."""
    return Console().width if sys.stdout.isatty() else _WIDE


def show(renderable: RenderableType) -> None:
    """Print to stdout, in full width where that isn't a terminal."""
    Console(width=width(), highlight=False).print(renderable)


def jobs_table(jobs: Iterable[Json], columns: int) -> Table:
    """A row with a bar for each job, with as much as fits so many columns."""
    found = list(jobs)
    counted = any(job["units"]["total"] for job in found)
    cells: dict[str, Callable[[Json], RenderableType]] = {
        "JOB": lambda job: text(job["job_id"]),
        "KIND": lambda job: text(job["kind"]),
        "STATUS": status,
        "": lambda job: bar(job, 28 if columns >= 110 else 10),
        "%": lambda job: percent(job["percent"]),
        "LEFT": lambda job: text(left(job)),
        "UNITS": lambda job: text(_units(job["units"])),
        "WHAT": lambda job: text(what(job)),
    }
    least = {"": 56, "LEFT": 70, "WHAT": 76, "KIND": 96, "UNITS": 110}
    shown = [name for name in cells if columns >= least.get(name, 0) and (name != "UNITS" or counted)]
    table = table_of(*shown)
    for job in found:
        table.add_row(*(cells[name](job) for name in shown))
    return table


def _units(units: Json) -> str:
    failed = f" ({units['failed']:,} failed)" if units["failed"] else ""
    return f"{units['finished']:,}/{units['total']:,}{failed}" if units["total"] else ""


def text(said: str | None, style: str = "") -> Text:
    """Anybody's text, in one line, cut where it doesn't fit."""
    return Text(clean(said or ""), style, no_wrap=True, overflow="ellipsis")


def table_of(*headings: str) -> Table:
    """A table without lines, in which long names make room for numbers and bars."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        name = heading.rstrip("".join(MARKS))
        justify: JustifyMethod = "right" if name in _NUMBERS else "left"
        table.add_column(heading, justify=justify, overflow="ellipsis", no_wrap=name in (*_NUMBERS, "STATUS", ""))
    return table


def left(job: Json) -> str:
    """How long the job will take yet, from p50 to p90; nothing where that isn't known."""
    eta = job["eta"]
    return "" if eta is None or eta["remaining_seconds"] is None else time_left(eta["remaining_seconds"])


def plain_line(job: Json) -> str:
    """A job in one line, without a bar."""
    done = "" if job["percent"] is None else f" {job['percent']:g}%"
    return f"{clean(job['job_id'])} {status(job)}{done} {clean(what(job))}".rstrip()


def status(job: Json) -> Text:
    """The status, and whether the job is stalled."""
    if job["stalled"]:
        return Text(f"{job['status']}, stalled", "bold red")
    return Text(job["status"], _STYLES.get(job["status"], "dim"))


def what(job: Json) -> str:
    """What a job is at, or why it ended."""
    parts = [job["current_stage"], error_of(job) or job["message"]]
    return ": ".join(part for part in parts if part)


def error_of(thing: Json) -> str:
    """The type of an error and what it says; nothing where there is none."""
    error = thing["error"]
    return "" if error is None else ": ".join(part for part in (error["type"], error.get("detail")) if part)


def bar(thing: Json, columns: int) -> RenderableType:
    """The bar of a job or a stage; dots where nobody knows how far that is."""
    done, style = thing["percent"], _STYLES.get(thing["status"], "dim")
    if done is None:
        return Text("·" * columns, style if thing["status"] in ("running", "paused") else "dim")
    return ProgressBar(total=100, completed=done, width=columns, complete_style=style, finished_style=style)


def percent(done: float | None) -> str:
    """To one place; nothing where it isn't known."""
    return "" if done is None else durations.percent(done)
