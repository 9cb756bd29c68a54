"""A job's snapshot as HTML for a notebook: no script, no stylesheet, and no colour that a dark theme would swallow."""

from html import escape
from typing import TYPE_CHECKING, Final

from streamproc.excerpt import around
from streamproc.producer.shown import MOST_STAGES, about, clean, facts, percent_of, status_of, what, when

if TYPE_CHECKING:
    from streamproc.producer.found import JobSnapshot, StageSnapshot

__all__ = ["as_html"]

_COLORS: Final = {"finished": "#2e9e5b", "failed": "#d64545", "canceled": "#8a63c7", "paused": "#b97a0a"}
_COLOR: Final = "#3b82f6"
_GRAY: Final = "#8a8f98"
"""Each is told from white and from black alike; text takes the notebook's own colour."""
_CARD: Final = (
    "box-sizing:border-box;max-width:46em;padding:12px 16px;border:1px solid rgba(128,128,128,.4);border-radius:8px;"
    "font:14px/1.5 system-ui,sans-serif;overflow-wrap:anywhere;text-align:start"
)
_ROW: Final = "display:flex;flex-wrap:wrap;gap:0 12px;align-items:baseline"
_QUIET: Final = "opacity:.8;font-size:13px"
_GRID: Final = (
    "display:grid;grid-template-columns:fit-content(14em) minmax(4em,1fr) fit-content(18em);gap:2px 12px;"
    "align-items:center;margin:8px 0"
)


def as_html(job: "JobSnapshot") -> str:
    """A card with a bar, stages and facts; all that anybody has named or said is escaped."""
    parts = [_head(job), _bar(job.percent, job.status, job.title or job.job_id, 8)]
    parts += [_line(text, _QUIET) for text in (when(job),) if text]
    if job.error is not None:
        parts.append(_line(what(job), f"border-left:3px solid {_COLORS['failed']};padding-left:8px;margin:6px 0"))
    elif what(job):
        parts.append(_line(what(job), ""))
    if job.stages:
        parts.append(_stages(job.stages))
    parts += [_line(fact, _QUIET) for fact in facts(job)]
    return f'<div style="{_CARD}">{"".join(parts)}</div>'


def _head(job: "JobSnapshot") -> str:
    named = f"<b>{_text(job.title or job.job_id)}</b>"
    others = [part for part in (job.job_id if job.title else None, job.kind) if part]
    quiet = "".join(f'<span style="{_QUIET}">{_text(part)}</span>' for part in others)
    dot = f'<span aria-hidden="true" style="color:{_COLORS["paused"] if job.stalled else _color(job.status)}">●</span>'
    done = "" if job.percent is None else f" {_text(percent_of(job.percent))}"
    status = f'<span style="margin-inline-start:auto">{dot} {_text(status_of(job))}{done}</span>'
    return f'<div style="{_ROW}">{named}{quiet}{status}</div>'


def _stages(stages: "list[StageSnapshot]") -> str:
    first, last = around([stage.status for stage in stages], MOST_STAGES)
    rows = "".join(
        f"<span>{_text(stage.name)}</span>"
        f"{_bar(stage.percent if stage.status != 'pending' else 0.0, stage.status, stage.name, 6)}"
        f'<span style="{_QUIET}">{_text(about(stage))}</span>'
        for stage in stages[first:last]
    )
    before = _line(f"{first:,} stages before", _QUIET) if first else ""
    after = _line(f"{len(stages) - last:,} stages after", _QUIET) if last < len(stages) else ""
    return f'{before}<div style="{_GRID}">{rows}</div>{after}'


def _bar(percent: float | None, status: str, label: str, height: int) -> str:
    """A bar as WAI-ARIA says; without a value where nobody knows how far it is."""
    value = "" if percent is None else f' aria-valuenow="{percent:g}"'
    round_ = f"height:{height}px;border-radius:{height // 2}px"
    if percent is None:
        stripes = f"{_color(status)} 0 6px,transparent 6px 12px"
        filled = f'<div style="{round_};opacity:.6;background:repeating-linear-gradient(90deg,{stripes})"></div>'
    else:
        filled = f'<div style="{round_};width:{percent:g}%;background:{_color(status)}"></div>'
    return (
        f'<div role="progressbar" aria-label="{escape(clean(label))}" aria-valuemin="0" aria-valuemax="100"{value} '
        f'style="{round_};margin:6px 0;overflow:hidden;background:rgba(128,128,128,.3)">{filled}</div>'
    )


def _color(status: str) -> str:
    return _COLORS.get(status, _GRAY if status in ("queued", "pending", "skipped") else _COLOR)


def _line(text: str, style: str) -> str:
    return f'<div style="{style}">{_text(text)}</div>'


def _text(text: str) -> str:
    """Escaped, and with a direction of its own, so that no name turns what stands around it."""
    return f'<span dir="auto" style="unicode-bidi:isolate">{escape(clean(text))}</span>' if text else ""
