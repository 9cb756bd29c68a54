"""Jobs as people see them in a terminal: tables, bars, and plain lines where there is no terminal."""

import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamproc.durations import duration, time_left

__all__ = [
    "bar",
    "clean",
    "details",
    "jobs_table",
    "left",
    "percent",
    "plain_line",
    "show",
    "status",
    "table_of",
    "text",
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
_BAR: Final = 28
_NUMBERS: Final = ("%", "RATE", "LEFT", "UNITS")
_REASONS: Final = {
    "queued": "not known while the job is in the queue",
    "paused": "not known while the job is paused",
    "indeterminate": "not known, as the job doesn't say how far it is",
    "no_progress": "not known before there is progress",
}
_WIDE: Final = 160


def show(renderable: RenderableType) -> None:
    """Print to stdout, in full width where that isn't a terminal."""
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(renderable)


def jobs_table(jobs: Iterable[Json]) -> Table:
    """A row with a bar for each job."""
    table = table_of("JOB", "KIND", "STATUS", "", "%", "LEFT", "UNITS", "WHAT")
    for job in jobs:
        units = job["units"]
        failed = f" ({units['failed']:,} failed)" if units["failed"] else ""
        table.add_row(
            text(job["job_id"]),
            text(job["kind"]),
            status(job),
            bar(job),
            percent(job["percent"]),
            text(left(job)),
            text(f"{units['finished']:,}/{units['total']:,}{failed}" if units["total"] else ""),
            text(_what(job)),
        )
    return table


def table_of(*headings: str) -> Table:
    """A table without lines, in which long names make room for numbers and bars."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        justify: JustifyMethod = "right" if heading in _NUMBERS else "left"
        table.add_column(heading, justify=justify, overflow="ellipsis", no_wrap=heading in (*_NUMBERS, "STATUS", ""))
    return table


def details(job: Json, most: int | None = None) -> RenderableType:
    """A job with its stages, units and indicators.

    Args:
        most: so many stages, those around the current one, and so many indicators; all where it is None.
    """
    head = Table.grid(padding=(0, 2))
    head.add_row(
        text(job["job_id"]),
        status(job),
        bar(job),
        percent(job["percent"]),
        text(_what(job)),
    )
    parts: list[RenderableType] = [head]
    if job["stages"]:
        parts += _stages(job, most)
    parts += [Text(f"  {line}", no_wrap=most is not None, overflow="ellipsis") for line in _facts(job, most)]
    return Group(*parts)


def left(job: Json) -> str:
    """How long the job will take yet, from p50 to p90; nothing where that isn't known."""
    eta = job["eta"]
    return "" if eta is None or eta["remaining_seconds"] is None else time_left(eta["remaining_seconds"])


def plain_line(job: Json) -> str:
    """A job in one line, without a bar."""
    done = "" if job["percent"] is None else f" {job['percent']:g}%"
    return f"{job['job_id']} {status(job)}{done} {clean(_what(job))}".rstrip()


def status(job: Json) -> Text:
    """The status, and whether the job is stalled."""
    if job["stalled"]:
        return Text(f"{job['status']}, stalled", "bold red")
    return Text(job["status"], _STYLES.get(job["status"], ""))


def _stages(job: Json, most: int | None) -> list[RenderableType]:
    table = Table.grid(padding=(0, 2))
    stages = job["stages"]
    first, last = _around(stages, most)
    for stage in stages[first:last]:
        seconds = stage["duration_seconds"]
        table.add_row(
            text("  " + stage["name"]),
            Text(stage["status"], _STYLES.get(stage["status"], "dim")),
            bar(stage),
            percent(stage["percent"]),
            "" if seconds is None else duration(seconds),
            text(_error(stage)),
        )
    before, after = first, len(stages) - last
    return [
        *([Text(f"  {before:,} stages before", "dim")] if before else []),
        table,
        *([Text(f"  {after:,} stages after", "dim")] if after else []),
    ]


def _around(stages: list[Json], most: int | None) -> tuple[int, int]:
    """From where to where the stages are shown: the one at work in the middle, or else the last that began."""
    if most is None or len(stages) <= most:
        return 0, len(stages)
    begun = [at for at, stage in enumerate(stages) if stage["status"] != "pending"]
    at = next((at for at in reversed(begun) if stages[at]["status"] == "running"), begun[-1] if begun else 0)
    first = max(0, min(at - most // 2, len(stages) - most))
    return first, first + most


def _facts(job: Json, most: int | None) -> list[str]:
    facts = _when(job)
    units = job["units"]
    if units["total"]:
        states = [f"{units[state]:,} {state}" for state in ("finished", "running", "pending", "failed") if units[state]]
        facts.append(f"units: {units['total']:,}: {', '.join(states)}")
    indicators = job["indicators"]
    facts += [f"{clean(each['label'])}: {each['done']:,}/{each['total']:,}" for each in indicators[:most]]
    if most is not None and len(indicators) > most:
        facts.append(f"{len(indicators) - most:,} indicators more")
    if job["items"]:
        total = job["items"]["total"]
        facts.append(f"items: {job['items']['done']:,}" + ("" if total is None else f"/{total:,}"))
    if job["stalled"]:
        since = max(job[name] or "" for name in ("started_at", "resumed_at", "progressed_at"))
        facts.append(f"stalled: no progress since {since}, no sign of life since {job['heard_at']}")
    times = [f"{name[:-3]} {job[name]}" for name in ("created_at", "started_at", "finished_at") if job[name]]
    facts.append(", ".join(times))
    facts.append(
        f"attempt {job['attempt']}, {job['events']:,} events, {job['late']:,} late, {job['duplicates']:,} duplicates"
    )
    return facts


def _when(job: Json) -> list[str]:
    """When it will have ended, or will start, or why nobody knows."""
    eta = job["eta"]
    if eta is None:
        return []
    if eta["remaining_seconds"] is not None:
        return [f"time left: {left(job)} (p50 to p90, by {eta['basis']})"]
    if eta["start_at"] is not None:
        return [f"starts at {eta['start_at']['p50']} to {eta['start_at']['p90']} (p50 to p90)"]
    return [f"time left: {_REASONS.get(eta['reason'], 'not known')}"]


def _what(job: Json) -> str:
    """What a job is at, or why it ended."""
    parts = [job["current_stage"], _error(job) or job["message"]]
    return ": ".join(part for part in parts if part)


def _error(thing: Json) -> str:
    error = thing["error"]
    return "" if error is None else ": ".join(part for part in (error["type"], error.get("detail")) if part)


def bar(thing: Json) -> ProgressBar:
    """The bar of a job or a stage; it pulses where nobody knows how far that is."""
    done, style = thing["percent"], _STYLES.get(thing["status"], "dim")
    return ProgressBar(
        total=100,
        completed=done or 0,
        width=_BAR,
        pulse=done is None and thing["status"] == "running",
        complete_style=style,
        finished_style=style,
    )


def percent(done: float | None) -> str:
    """To one place."""
    return "" if done is None else f"{done:.1f}"


def text(said: str | None) -> Text:
    """Anybody's text, in one line."""
    return Text(clean(said or ""), no_wrap=True, overflow="ellipsis")


def clean(said: str) -> str:
    """Messages are anybody's: keep their control characters from the terminal."""
    return "".join(character if character.isprintable() else " " for character in said)
