"""A job's snapshot as people read it: a line at a prompt, and a text where it is printed."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streamproc.durations import amount, duration, percent, time_left
from streamproc.excerpt import around

if TYPE_CHECKING:
    from streamproc.producer.found import JobSnapshot, StageSnapshot

__all__ = [
    "MOST_STAGES",
    "about",
    "as_line",
    "as_text",
    "clean",
    "facts",
    "percent_of",
    "status_of",
    "what",
    "when",
]

MOST_STAGES: Final = 30
_MOST_INDICATORS: Final = 20
_LONGEST_RESULT: Final = 500
_BAR: Final = 20
_FINAL: Final = ("finished", "failed", "canceled")
_REASONS: Final = {
    "queued": "it waits in the queue",
    "paused": "it is paused",
    "indeterminate": "it doesn't say how far it is",
    "no_progress": "there is no progress yet",
    "stalled": "it is stalled",
}


def as_line(job: "JobSnapshot") -> str:
    """A job in one line."""
    parts = (clean(job.job_id), status_of(job), _bar(job.percent), percent_of(job.percent), what(job))
    return f"<JobSnapshot {' '.join(part for part in parts if part)}>"


def as_text(job: "JobSnapshot") -> str:
    """A job with its stages, indicators and estimate, a line each."""
    named = ", ".join(clean(part) for part in (job.title, job.kind) if part)
    head = (
        clean(job.job_id),
        f"({named})" if named else "",
        status_of(job),
        _bar(job.percent),
        percent_of(job.percent),
    )
    lines = [" ".join(part for part in head if part)]
    lines += [f"  {line}" for line in (what(job), when(job)) if line]
    first, last = around([stage.status for stage in job.stages], MOST_STAGES)
    width = max((len(clean(stage.name)) for stage in job.stages[first:last]), default=0)
    lines += [f"  {first:,} stages before"] if first else []
    lines += [
        f"  {clean(stage.name):{width}}  {_bar(stage.percent)}  {about(stage)}" for stage in job.stages[first:last]
    ]
    lines += [f"  {len(job.stages) - last:,} stages after"] if last < len(job.stages) else []
    return "\n".join(lines + [f"  {fact}" for fact in facts(job)])


def status_of(job: "JobSnapshot") -> str:
    """The status, and whether it is stalled."""
    return f"{job.status}, stalled" if job.stalled else job.status


def what(job: "JobSnapshot") -> str:
    """What a job is at, or why it ended."""
    return ": ".join(clean(part) for part in (job.current_stage, error_of(job) or job.message) if part)


def error_of(thing: "JobSnapshot | StageSnapshot") -> str:
    """The type of an error and what it says; nothing where there is none."""
    error = thing.error or {}
    return ": ".join(clean(str(error[name])) for name in ("type", "detail") if error.get(name))


def when(job: "JobSnapshot") -> str:
    """How long a job takes yet, or took, and when it ends."""
    if job.status in _FINAL:
        if job.started_at is None or job.finished_at is None:
            return ""
        took = max(0.0, (job.finished_at - job.started_at).total_seconds())
        return f"took {duration(took)}, ended {_instant(job.finished_at)}"
    eta = job.eta
    if eta is None:
        return ""
    if eta.start_at is not None:
        return f"starts {_between(eta.start_at)}"
    if eta.remaining_seconds is None:
        return f"time left: not known, as {_REASONS[eta.reason]}" if eta.reason in _REASONS else ""
    left = time_left(eta.remaining_seconds)
    if left == "overdue" or eta.finish_at is None:
        return left if left == "overdue" else f"{left} left"
    return f"{left} left, ends {_between(eta.finish_at)}"


def about(stage: "StageSnapshot") -> str:
    """How a stage stands, how far it is, how long it took and why it failed, as far as that is known."""
    done = "" if stage.status == "pending" else percent_of(stage.percent)
    took = "" if stage.duration_seconds is None else duration(stage.duration_seconds)
    return ", ".join(part for part in (stage.status, done, took, error_of(stage)) if part)


def facts(job: "JobSnapshot") -> list[str]:
    """What else there is to know of a job."""
    return list(_facts(job))


def _facts(job: "JobSnapshot") -> Iterator[str]:
    if job.stalled:
        since = max(filter(None, (job.started_at, job.resumed_at, job.progressed_at)), default=None)
        yield "stalled" if since is None else f"stalled: no progress since {_instant(since)}"
    if job.requested:
        yield f"asked to {clean(job.requested)}"
    units = job.units
    if units.total:
        states = ("failed", "running", "pending", "finished")
        told = ", ".join(f"{getattr(units, state):,} {state}" for state in states if getattr(units, state))
        yield f"units: {told} of {units.total:,}"
    for each in job.indicators[:_MOST_INDICATORS]:
        yield f"{clean(each.label)}: {amount(each.done)}/{amount(each.total)}"
    if len(job.indicators) > _MOST_INDICATORS:
        yield f"{len(job.indicators) - _MOST_INDICATORS:,} indicators more"
    if job.items is not None:
        yield f"items: {amount(job.items.done)}" + ("" if job.items.total is None else f"/{amount(job.items.total)}")
    if job.result is not None:
        yield f"result: {_json(job.result)}"
    if job.status not in _FINAL and job.updated_at is not None:
        yield f"as of {_instant(job.updated_at)}"


def _json(value: Any) -> str:
    said = clean(msgspec.json.encode(value).decode())
    return said if len(said) <= _LONGEST_RESULT else f"{said[:_LONGEST_RESULT]}…"


def _between(instants: dict[str, datetime]) -> str:
    """From p50 to p90, the day told once where it is the same."""
    (day, sooner), (last, later) = _here(instants["p50"]), _here(instants["p90"])
    if (day, sooner) == (last, later):
        return _instant(instants["p90"])
    return f"{day} {sooner} to {later if day == last else f'{last} {later}'}{_zone(instants['p90'])}"


def _instant(at: datetime) -> str:
    return f"{' '.join(_here(at))}{_zone(at)}"


def _here(at: datetime) -> tuple[str, str]:
    """Day and time."""
    return f"{_local(at):%Y-%m-%d}", f"{_local(at):%H:%M:%S}"


def _zone(at: datetime) -> str:
    """It is told, as who looks may be elsewhere, and later."""
    return f" {_local(at):%Z}"


def _local(at: datetime) -> datetime:
    """In the zone of this machine."""
    try:
        return at.astimezone()
    except OverflowError:  # the year 9999 has no later zone
        return at


def percent_of(done: float | None) -> str:
    """To one place; nothing where it isn't known."""
    return "" if done is None else f"{percent(done)} %"


def _bar(done: float | None) -> str:
    if done is None:
        return "·" * _BAR
    full = int(_BAR * done / 100)
    return "█" * full + "░" * (_BAR - full)


def clean(text: str) -> str:
    """In one line, without control characters, also those that turn the direction of what follows."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)
