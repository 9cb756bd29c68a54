"""Kinds of jobs as people see them in a terminal."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table

from streamproc.cli.bars import text
from streamproc.durations import duration

__all__ = ["kind_details", "kinds_table"]

Json = dict[str, Any]

_LATEST: Final = 10


def kinds_table(kinds: Iterable[Json]) -> Table:
    """A row for each kind."""
    table = _table(
        "KIND", "ACTIVE", "%", "RUNS", "MEDIAN", "P90", "FAILED", "LAST ENDED (UTC)", left=("KIND", "ACTIVE")
    )
    for kind in kinds:
        table.add_row(
            text(kind["kind"]),
            _active(kind),
            "" if kind["average_percent"] is None else f"{kind['average_percent']:.1f}",
            f"{kind['runs']:,}",
            *_both(kind["duration_seconds"]),
            _share(kind["failure_rate"]),
            _instant(kind["last_ended_at"]),
        )
    return table


def kind_details(kind: Json) -> RenderableType:
    """A kind with its stages and its latest runs."""
    parts: list[RenderableType] = [kinds_table([kind])]
    if kind["stages"]:
        stages = _table("STAGE", "RUNS", "MEDIAN", "P90", "SKIPPED", left=("STAGE",))
        for stage in kind["stages"]:
            both = _both(stage["duration_seconds"])
            stages.add_row(text(stage["name"]), f"{stage['runs']:,}", *both, _share(stage["skipped"]))
        parts += ["", stages]
    if kind["latest"]:
        latest = _table("ENDED (UTC)", "OUTCOME", "TOOK", left=("ENDED (UTC)", "OUTCOME"))
        for run in kind["latest"][:_LATEST]:
            latest.add_row(_instant(run["ended_at"]), text(run["outcome"]), duration(run["duration_seconds"]))
        parts += ["", latest]
    facts = _facts(kind)
    return Group(*parts, *(["", *facts] if facts else []))


def _facts(kind: Json) -> list[str]:
    facts = []
    if kind["waited_seconds"] is not None:
        median, p90 = _both(kind["waited_seconds"])
        facts.append(f"waited in the queue: {median} (median), {p90} (p90)")
    calibration = kind["calibration"]
    if calibration["predictions"]:
        p50, p90 = _share(calibration["p50_held"]), _share(calibration["p90_held"])
        facts.append(f"of {calibration['predictions']:,} estimates p50 held in {p50}, p90 in {p90}")
    return facts


def _table(*headings: str, left: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right")
    return table


def _active(kind: Json) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in reversed(kind["active"].items()) if count)


def _both(quantiles: dict[str, float] | None) -> tuple[str, str]:
    return ("", "") if quantiles is None else (duration(quantiles["p50"]), duration(quantiles["p90"]))


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _instant(time: str | None) -> str:
    return "" if time is None else time[:19].replace("T", " ")
