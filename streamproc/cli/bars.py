"""Jobs as people see them in a terminal: tables with bars, and plain lines where there is no terminal."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from streamproc import durations
from streamproc.cli.columns import columns
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
_NAMES: Final = ("JOB", "KIND", "WHAT", "STAGE", "WORKER")
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


def jobs_table(jobs: Iterable[Json], width: int) -> Group:
    """A row with a bar for each job, with as much as fits so many columns."""
    found = list(jobs)
    counted = any(job["units"]["total"] for job in found)
    cells: dict[str, Callable[[Json], Text]] = {
        "JOB": lambda job: text(job["job_id"]),
        "KIND": lambda job: text(job["kind"]),
        "STATUS": status,
        "": lambda job: bar(job, 28 if width >= 110 else 10),
        "%": lambda job: text(percent(job["percent"])),
        "LEFT": lambda job: text(left(job)),
        "UNITS": lambda job: text(_units(job["units"])),
        "WHAT": lambda job: text(what(job)),
    }
    least = {"": 56, "LEFT": 70, "WHAT": 76, "KIND": 96, "UNITS": 110}
    shown = [name for name in cells if width >= least.get(name, 0) and (name != "UNITS" or counted)]
    return table_of(shown, [[cells[name](job) for name in shown] for job in found], width)


def _units(units: Json) -> str:
    failed = f" ({units['failed']:,} failed)" if units["failed"] else ""
    return f"{units['finished']:,}/{units['total']:,}{failed}" if units["total"] else ""


def text(said: str | None, style: str = "") -> Text:
    """Anybody's text, in one line, cut where it doesn't fit."""
    return Text(clean(said or ""), style, no_wrap=True, overflow="ellipsis")


def table_of(headings: Sequence[str], rows: Sequence[Sequence[Text]], width: int, chosen: int | None = None) -> Group:
    """A table in which long names make room for numbers and bars."""
    names = [heading.rstrip("".join(MARKS)) for heading in headings]
    right = {at for at, name in enumerate(names) if name in _NUMBERS}
    flexible = {at for at, name in enumerate(names) if name in _NAMES}
    return columns(headings, rows, width, right=right, flexible=flexible, chosen=chosen)


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


def bar(thing: Json, width: int) -> Text:
    """The bar of a job or a stage, that can be read without colours; dots where nobody knows how far that is."""
    done, style = thing["percent"], _STYLES.get(thing["status"], "dim")
    if done is None:
        return Text("·" * width, style if thing["status"] in ("running", "paused") else "dim")
    halves = int(2 * width * min(100.0, max(0.0, done)) / 100)
    whole, half = divmod(halves, 2)
    return Text.assemble(("━" * whole + "╸" * half, style), ("─" * (width - whole - half), "dim"))


def percent(done: float | None) -> str:
    """To one place; nothing where it isn't known."""
    return "" if done is None else durations.percent(done)
