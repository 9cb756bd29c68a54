"""How far a run was when, and the pace that tells of the whole.

The three ways to estimate give a *pace*: how many ms the whole job would take at it. What remains is
pace * (1 - progress).

- ``history``: what the stages took in earlier runs, for their size where sizes are told.
- ``rate``: the time so far / progress so far.
- ``recent``: the same since the first report of any progress, or over the last quarter of the progress.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final

from projections.paths import StagePath

__all__ = ["Points", "interpolate", "paces", "path_points"]

_RECENT: Final = 0.25
_LEAST_MS: Final = 1.0

Points = list[tuple[float, float]]
"""Clock in ms and share of the whole job, both rising."""

_share = itemgetter(1)


def path_points(stages: Iterable[StagePath], costs: Sequence[float], until: float) -> Points:
    """When a path was how far, by what its stages weigh. Between points progress is taken to be even."""
    steps: list[tuple[float, int, float]] = []
    counted = [stage for stage in stages if stage.outcome != "skipped"]
    for at, stage in enumerate(counted):
        steps.append((stage.began, at, 0.0))
        if stage.first is not None:
            steps.append((stage.first[0], at, stage.first[1] / 100))
        steps += [(clock, at, (tenth + 1) / 10) for tenth, clock in enumerate(stage.tenths)]
        if stage.ended is not None:
            steps.append((stage.ended, at, 1.0))
    steps.sort()
    whole = sum(costs)
    shares = [0.0] * len(counted)
    done, points = 0.0, [(0.0, 0.0)]
    for clock, at, share in steps:
        if share > shares[at]:
            done += (share - shares[at]) * costs[at]
            shares[at] = share
        if clock <= until:
            points.append((clock, done / whole))
    return points


def interpolate(points: Points, share: float) -> float:
    """When a share was reached; at the end where it never was."""
    at = bisect_left(points, share, key=_share)
    if at == len(points):
        return points[-1][0]
    clock, reached = points[at]
    before, had = points[max(0, at - 1)]
    return clock if reached <= had else before + (clock - before) * (share - had) / (reached - had)


def paces(points: Points, clock: float, share: float, history: float | None) -> list[float | None]:
    """The pace by each of the three ways, in ms for the whole job."""
    rate = max(clock, _LEAST_MS) / share
    first = next((point[1] for point in points if point[1] > 0), share)
    since = max(first, share - _RECENT)
    recent = rate
    if share - since > 0.01:
        recent = max(clock - interpolate(points, since), _LEAST_MS) / (share - since)
    return [history, rate, recent]
