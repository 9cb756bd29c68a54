"""Slow jobs: those that have worked for longer than is usual for their kind."""

from typing import Final

from msgspec import Struct

from projections.paths import Path, clock_of
from projections.summary import Quantiles, Summary

__all__ = ["Slow", "slow", "slow_after"]

_FEWEST: Final = 5
"""Runs that finished, without which nothing is usual."""
_LONGER: Final = 1.5
"""Where all runs take about as long, one that takes a little longer is no news."""
_LEAST_SECONDS: Final = 1.0


class Slow(Struct, frozen=True):
    """How slow a job is.

    Args:
        worked_seconds: for how long it has worked, without pauses and stalls.
        usual_seconds: what the runs of its kind took.
        times: how many times as long as a half of them it has worked; None where those took no time.
    """

    worked_seconds: float
    usual_seconds: Quantiles
    times: float | None


def slow_after(kind: Summary) -> float | None:
    """From how many seconds on a job of a kind is slow: where it takes longer than nine in ten, and than half as long
    again as a half of them; None where too few have finished to say."""
    usual = kind.duration_seconds
    if usual is None or kind.finished < _FEWEST:
        return None
    return max(usual.p90, _LONGER * usual.p50, _LEAST_SECONDS)


def slow(kind: Summary, path: Path, now: int) -> Slow | None:
    """How slow a job is, by its path; None where it isn't, or is paused or stalled. `now` is in ms since 1970."""
    after, worked = slow_after(kind), clock_of(path, now) / 1000
    usual = kind.duration_seconds
    if after is None or usual is None or worked <= after or path.since is not None:
        return None
    return Slow(round(worked, 3), usual, round(worked / usual.p50, 2) if usual.p50 else None)
