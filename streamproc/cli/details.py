"""One job as people see it in a terminal: how far it is and when it ends, its stages, units, indicators and words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamproc.cli import bars
from streamproc.cli.bars import text
from streamproc.cli.clock import Clock
from streamproc.cli.live import FINAL, Note
from streamproc.cli.texts import clean
from streamproc.durations import amount, duration
from streamproc.excerpt import around

__all__ = ["details"]

Json = dict[str, Any]

_REASONS: Final = {
    "queued": "time left: not known while the job is in the queue",
    "paused": "time left: not known while the job is paused",
    "indeterminate": "time left: not known, as the job doesn't say how far it is",
    "no_progress": "time left: not known before there is progress",
    "stalled": "time left: not known while the job is silent",
}
_LONGEST_RESULT: Final = 2000


def details(
    job: Json,
    clock: Clock,
    columns: int,
    *,
    rows: int | None = None,
    typical: Mapping[str, float] | None = None,
    notes: Sequence[Note] = (),
) -> RenderableType:
    """A job with its stages, units and indicators.

    Args:
        columns: of the terminal.
        rows: so many stages, those around the current one, and so many indicators; all where it is None.
        typical: how many seconds stages take as a rule, by their names.
        notes: what it said last, the newest first.
    """
    parts: list[RenderableType] = [_name(job), *_head(job, clock, columns)]
    if bars.what(job):
        parts.append(text(bars.what(job), "red" if job["error"] else ""))
    if job["stages"]:
        goes_on = job["status"] in ("started", "running")
        parts += _stages(job["stages"], clock, columns, rows, typical or {}, goes_on)
    for line, style in _facts(job, clock, rows):
        parts.append(Text(f"  {line}", style, no_wrap=rows is not None, overflow="ellipsis"))
    parts += [text(f"  {note.came} {note.text}", "dim") for note in notes]
    if job["result"] is not None:
        said = clean(msgspec.json.encode(job["result"]).decode())
        parts.append(Text(f"  result: {said[:_LONGEST_RESULT]}", no_wrap=rows is not None, overflow="ellipsis"))
    return Group(*parts)


def _name(job: Json) -> Text:
    named = text(job["job_id"], "bold")
    if job["title"]:
        named.append(f"  {clean(job['title'])}", "not bold")
    if job["kind"]:
        named.append(f"  {clean(job['kind'])}", "not bold dim")
    return named


def _head(job: Json, clock: Clock, columns: int) -> list[RenderableType]:
    """How far the job is, and when it ends: in a line where there is room for that."""
    done, ends = bars.percent(job["percent"]), text(_when(job, clock))
    head = Table.grid(padding=(0, 2))
    if columns >= 76:
        head.add_row(bars.status(job), bars.bar(job, 28 if columns >= 100 else 16), done, ends)
        return [head]
    head.add_row(bars.status(job), done)
    whole = Table.grid()
    whole.add_row(bars.bar(job, columns - 1))
    return [head, whole, *([ends] if ends else [])]


def _when(job: Json, clock: Clock) -> str:
    """When it will have ended, or will start, or why nobody knows; or how long it took."""
    if job["status"] in FINAL:
        took = _took(job)
        return "" if took is None else f"took {duration(took)}"
    eta = job["eta"]
    if eta is None:
        return ""
    if eta["remaining_seconds"] is not None:
        left = bars.left(job)
        if left == "overdue":
            return "overdue: it takes longer than nine in ten would"
        ends = f", ends {clock.between(eta['finish_at'])}" if eta["finish_at"] else f" ({eta['reason']})"
        return f"{left} left{ends}"
    if eta["start_at"] is not None:
        return f"starts {clock.between(eta['start_at'])}"
    return _REASONS.get(eta["reason"], "time left: not known")


def _took(job: Json) -> float | None:
    if job["started_at"] is None or job["finished_at"] is None:
        return None
    ended = Clock.seconds(job["finished_at"])
    return max(0.0, ended - Clock.seconds(job["started_at"]))


def _stages(
    stages: list[Json], clock: Clock, columns: int, rows: int | None, typical: Mapping[str, float], goes_on: bool
) -> list[RenderableType]:
    table = Table.grid(padding=(0, 2))
    first, last = around([stage["status"] for stage in stages], len(stages) if rows is None else rows)
    for stage in stages[first:last]:
        cells: list[RenderableType] = [text("  " + stage["name"]), bars.status(stage | {"stalled": False})]
        if columns >= 60:
            cells.append(bars.bar(stage, 28 if columns >= 100 else 16))
        cells.append(Text(bars.percent(stage["percent"]), justify="right"))
        cells.append(text(_elapsed(stage, clock, goes_on)))
        if typical:
            usual = typical.get(stage["name"])
            cells.append(text("" if usual is None else f"typically {duration(usual)}", "dim"))
        cells.append(text(bars.error_of(stage), "red"))
        table.add_row(*cells)
    before, after = first, len(stages) - last
    return [
        *([Text(f"  {before:,} stages before", "dim")] if before else []),
        table,
        *([Text(f"  {after:,} stages after", "dim")] if after else []),
    ]


def _elapsed(stage: Json, clock: Clock, goes_on: bool) -> str:
    if goes_on and stage["status"] == "running" and (seconds := clock.since(stage["started_at"])) is not None:
        return duration(seconds, 0)
    return "" if stage["duration_seconds"] is None else duration(stage["duration_seconds"])


def _facts(job: Json, clock: Clock, rows: int | None) -> list[tuple[str, str]]:
    """Lines, each with its style."""
    facts: list[tuple[str, str]] = []
    if job["stalled"]:
        facts.append((_stalled(job, clock), "red"))
    if job["requested"]:
        facts.append((f"asked to {clean(job['requested'])}", "yellow"))
    units = job["units"]
    if units["total"]:
        states = [f"{units[state]:,} {state}" for state in ("failed", "running", "pending", "finished") if units[state]]
        facts.append((f"units: {', '.join(states)} of {units['total']:,}", "red" if units["failed"] else ""))
    indicators = job["indicators"]
    facts += [(f"{clean(each['label'])}: {_of(each['done'], each['total'])}", "") for each in indicators[:rows]]
    if rows is not None and len(indicators) > rows:
        facts.append((f"{len(indicators) - rows:,} indicators more", "dim"))
    if job["items"]:
        facts.append((f"items: {_of(job['items']['done'], job['items']['total'])}", ""))
    return facts + [(fact, "dim") for fact in _rest(job, clock)]


def _of(done: float, total: float | None) -> str:
    return amount(done) + ("" if total is None else f"/{amount(total)}")


def _stalled(job: Json, clock: Clock) -> str:
    since = max(job[name] or "" for name in ("started_at", "resumed_at", "progressed_at"))
    told = f"stalled: no progress since {clock.tell(since)}" if since else "stalled"
    return f"{told}, no sign of life since {clock.tell(job['heard_at'])}" if job["heard_at"] else told


def _rest(job: Json, clock: Clock) -> list[str]:
    """When it was what, by whom, and what is known of its events."""
    at = [f"{name[:-3]} {clock.tell(job[name])}" for name in ("created_at", "started_at", "finished_at") if job[name]]
    who = [f"{name} {clean(job[name])}" for name in ("worker", "owner") if job[name]]
    labels = [clean(f"{name}={value}") for name, value in sorted(job["labels"].items())]
    events = [f"attempt {job['attempt']}", f"{job['events']:,} events"]
    events += [f"{job[name]:,} {name}" for name in ("late", "duplicates") if job[name]]
    return [", ".join(each) for each in (at, [*who, *labels], events) if each]
