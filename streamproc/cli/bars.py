"""Jobs as people see them in a terminal: tables, bars, and plain lines where there is no terminal."""

import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["details", "jobs_table", "plain_line", "show"]

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
_BAR: Final = 28
_WIDE: Final = 160


def show(renderable: RenderableType) -> None:
    """Print to stdout, in full width where that isn't a terminal."""
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(renderable)


def jobs_table(jobs: Iterable[Json]) -> Table:
    """A row with a bar for each job."""
    table = Table(box=None, pad_edge=False)
    for heading in ("JOB", "KIND", "STATUS", "", "%", "UNITS", "WHAT"):
        table.add_column(heading, justify="right" if heading in ("%", "UNITS") else "left", overflow="ellipsis")
    for job in jobs:
        units = job["units"]
        failed = f" ({units['failed']:,} failed)" if units["failed"] else ""
        table.add_row(
            Text(job["job_id"]),
            _text(job["kind"]),
            _status(job),
            _bar(job),
            _percent(job["percent"]),
            Text(f"{units['finished']:,}/{units['total']:,}{failed}") if units["total"] else "",
            _text(_what(job)),
        )
    return table


def details(job: Json) -> RenderableType:
    """A job with its stages, units and indicators."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(job["job_id"], "bold"),
        _status(job),
        _bar(job),
        _percent(job["percent"]),
        _text(_what(job)),
    )
    parts: list[RenderableType] = [head]
    if job["stages"]:
        parts.append(_stages(job["stages"]))
    parts += [Text(f"  {line}") for line in _facts(job)]
    return Group(*parts)


def plain_line(job: Json) -> str:
    """A job in one line, without a bar."""
    percent = "" if job["percent"] is None else f" {job['percent']:g}%"
    return f"{job['job_id']} {_status(job)}{percent} {_clean(_what(job))}".rstrip()


def _status(job: Json) -> Text:
    if job["stalled"]:
        return Text(f"{job['status']}, stalled", "bold red")
    return Text(job["status"], _STYLES.get(job["status"], ""))


def _stages(stages: list[Json]) -> Table:
    table = Table.grid(padding=(0, 2))
    for stage in stages:
        seconds = stage["duration_seconds"]
        table.add_row(
            Text("  " + stage["name"]),
            Text(stage["status"], _STYLES.get(stage["status"], "dim")),
            _bar(stage),
            _percent(stage["percent"]),
            "" if seconds is None else f"{seconds:.1f} s",
            _text(_error(stage)),
        )
    return table


def _facts(job: Json) -> list[str]:
    facts = []
    units = job["units"]
    if units["total"]:
        states = [f"{units[state]:,} {state}" for state in ("finished", "running", "pending", "failed") if units[state]]
        facts.append(f"units: {units['total']:,}: {', '.join(states)}")
    facts += [f"{each['label']}: {each['done']:,}/{each['total']:,}" for each in job["indicators"]]
    if job["items"]:
        facts.append(f"items: {job['items']['done']:,}/{job['items']['total']:,}")
    if job["stalled"]:
        since = max(job[name] or "" for name in ("started_at", "resumed_at", "progressed_at"))
        facts.append(f"stalled: no progress since {since}, no sign of life since {job['heard_at']}")
    times = [f"{name[:-3]} {job[name]}" for name in ("created_at", "started_at", "finished_at") if job[name]]
    facts.append(", ".join(times))
    facts.append(
        f"attempt {job['attempt']}, {job['events']:,} events, {job['late']:,} late, {job['duplicates']:,} duplicates"
    )
    return facts


def _what(job: Json) -> str:
    """What a job is at, or why it ended."""
    parts = [job["current_stage"], _error(job) or job["message"]]
    return ": ".join(part for part in parts if part)


def _error(thing: Json) -> str:
    error = thing["error"]
    return "" if error is None else ": ".join(part for part in (error["type"], error.get("detail")) if part)


def _bar(thing: Json) -> ProgressBar:
    percent, status = thing["percent"], thing["status"]
    style = _STYLES.get(status, "dim")
    return ProgressBar(
        total=100,
        completed=percent or 0,
        width=_BAR,
        pulse=percent is None and status == "running",
        complete_style=style,
        finished_style=style,
    )


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.1f}"


def _text(text: str | None) -> Text:
    return Text(_clean(text or ""), no_wrap=True, overflow="ellipsis")


def _clean(text: str) -> str:
    """Messages are anybody's: keep their control characters from the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
