"""A job's snapshot as people read it: a line, a text for a terminal, and HTML for a notebook."""

from html import escape
from typing import TYPE_CHECKING, Final

from streamproc.durations import duration, time_left

if TYPE_CHECKING:
    from streamproc.producer.found import JobSnapshot, StageSnapshot

__all__ = ["as_html", "as_line", "as_text"]

_BAR: Final = 20
_COLORS: Final = {"finished": "#2e9e5b", "failed": "#d64545", "canceled": "#8a63c7", "paused": "#c98a1b"}
_COLOR: Final = "#3b82f6"
"""Each is told from white and from black alike; text takes the notebook's own color."""


def as_line(job: "JobSnapshot") -> str:
    """A job in one line."""
    return f"<JobSnapshot {_head(job)}>"


def as_text(job: "JobSnapshot") -> str:
    """A job with its stages, indicators and estimate, a line each."""
    lines = [_head(job)]
    width = max((len(_clean(stage.name)) for stage in job.stages), default=0)
    lines += [f"  {_clean(stage.name):{width}}  {_bar(stage.percent)}  {_about(stage)}" for stage in job.stages]
    return "\n".join(lines + [f"  {fact}" for fact in _facts(job)])


def as_html(job: "JobSnapshot") -> str:
    """A bar with its stages, for a notebook, light or dark; all that anybody has named or said is escaped."""
    title = f"<b>{_html(job.title or job.job_id)}</b> {_html(_status(job))} {_html(_percent(job.percent))}"
    parts = [f"<div>{title}</div>", _html_bar(job.percent, job.status, _clean(job.title or job.job_id), 10)]
    if job.stages:
        rows = "".join(
            f'<tr><td style="text-align:left">{_html(stage.name)}</td>'
            f'<td style="width:12em">{_html_bar(stage.percent, stage.status, _clean(stage.name), 6)}</td>'
            f'<td style="text-align:left">{_html(_about(stage))}</td></tr>'
            for stage in job.stages
        )
        parts.append(f'<table style="border:0">{rows}</table>')
    said = [_what(job), *_facts(job)]
    parts += [f'<div style="opacity:.75">{_html(each)}</div>' for each in said if each]
    return f'<div style="max-width:40em;overflow-wrap:anywhere">{"".join(parts)}</div>'


def _head(job: "JobSnapshot") -> str:
    parts = (_clean(job.job_id), _status(job), _bar(job.percent), _percent(job.percent), _what(job))
    return " ".join(part for part in parts if part)


def _status(job: "JobSnapshot") -> str:
    return f"{job.status}, stalled" if job.stalled else job.status


def _what(job: "JobSnapshot") -> str:
    """What a job is at, or why it ended."""
    return ": ".join(_clean(part) for part in (job.current_stage, _error(job) or job.message) if part)


def _error(thing: "JobSnapshot | StageSnapshot") -> str:
    error = thing.error or {}
    return ": ".join(_clean(str(error[name])) for name in ("type", "detail") if error.get(name))


def _about(stage: "StageSnapshot") -> str:
    took = "" if stage.duration_seconds is None else duration(stage.duration_seconds)
    return " ".join(part for part in (stage.status, _percent(stage.percent), took, _error(stage)) if part)


def _facts(job: "JobSnapshot") -> list[str]:
    facts = [f"{_clean(each.label)}: {each.done:,}/{each.total:,}" for each in job.indicators]
    if job.units.total:
        failed = f", {job.units.failed:,} failed" if job.units.failed else ""
        facts.append(f"units: {job.units.finished:,}/{job.units.total:,}{failed}")
    if job.eta is not None and job.eta.remaining_seconds is not None:
        facts.append(f"time left: {time_left(job.eta.remaining_seconds)} (p50 to p90)")
    return facts


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.1f} %"


def _bar(percent: float | None) -> str:
    if percent is None:
        return "·" * _BAR
    full = int(_BAR * percent / 100)
    return "█" * full + "░" * (_BAR - full)


def _html_bar(percent: float | None, status: str, label: str, height: int) -> str:
    """A bar as WAI-ARIA says; without a value where nobody knows how far it is."""
    value = "" if percent is None else f' aria-valuenow="{percent:g}"'
    filled = (
        ""
        if percent is None
        else f'<div style="width:{percent:g}%;height:100%;background:{_COLORS.get(status, _COLOR)}"></div>'
    )
    return (
        f'<div role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100"{value} '
        f'style="height:{height}px;margin:3px 0;border-radius:{height // 2}px;overflow:hidden;'
        f'background:rgba(128,128,128,.3)">{filled}</div>'
    )


def _html(text: str) -> str:
    """Escaped, and with a direction of its own, so that no name turns what stands around it."""
    return f'<span dir="auto" style="unicode-bidi:isolate">{escape(_clean(text))}</span>' if text else ""


def _clean(text: str) -> str:
    """Without control characters, also those that turn the direction of what follows."""
    return "".join(each if each.isprintable() else " " for each in text)
