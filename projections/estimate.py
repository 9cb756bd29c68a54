"""How long a job will take yet: an interval out of its snapshot, its path, and what is known of its kind.

`estimate` is pure, and is worked out where it is served. See `projections.kinds` for how it comes about.
"""

from math import exp, log
from statistics import NormalDist
from typing import Final

from msgspec import Struct

from projections.kinds import Kind, Part, Points, paces, path_points
from projections.paths import Path
from streamproc.projection import parse_rfc3339

__all__ = ["Estimate", "Facts", "StageFacts", "estimate"]

_LEAST_SHARE: Final = 0.005
_MOST_SHARE: Final = 0.99
_FINAL: Final = frozenset({"finished", "failed", "canceled"})
_NORMAL: Final = NormalDist()
_MOST_MS: Final = 1e13


class StageFacts(Struct, frozen=True):
    """What an estimate reads of a stage's snapshot."""

    name: str
    weight: float
    status: str
    percent: float | None


class ItemFacts(Struct, frozen=True):
    total: float | None = None


class Facts(Struct, frozen=True):
    """What an estimate reads of a job's snapshot."""

    status: str
    percent: float | None = None
    kind: str | None = None
    stages: list[StageFacts] = []
    items: ItemFacts | None = None
    progressed_at: str | None = None


class Estimate(Struct, frozen=True):
    """Remaining ms: half of the jobs end before `p50`, nine in ten before `p90`. None with a reason where unknown.

    Args:
        basis: ``rate``, ``history`` or ``blend`` of both.
        reason: ``queued``, ``paused``, ``stalled``, ``indeterminate``, ``no_progress`` or ``final``.
    """

    p50: float | None = None
    p90: float | None = None
    basis: str | None = None
    reason: str | None = None


def estimate(facts: Facts, path: Path, kind: Kind | None, now: int) -> Estimate:
    """How long a job will take yet.

    Args:
        facts: of its snapshot.
        path: as its fold left it.
        kind: what its kind's runs have taught, or None.
        now: ms since 1970, of the server.
    """
    if facts.status in _FINAL:
        return Estimate(reason="final")
    if path.started is None or facts.status == "queued":
        return Estimate(reason="queued")
    kind = kind or Kind()
    clock = max(0, (now if path.since is None else path.since) - path.started - path.away)
    silent = 0.0
    if path.since is None and facts.progressed_at is not None:
        silent = min(float(clock), max(0, now - parse_rfc3339(facts.progressed_at)))
    found = _estimate(facts, path, kind, float(clock), silent)
    if facts.status == "paused":
        return Estimate(found.p50, found.p90, found.basis, "paused")
    return found


def _estimate(facts: Facts, path: Path, kind: Kind, clock: float, silent: float) -> Estimate:
    parts, shares = _parts(facts, path, kind, clock)
    costs, absolute = kind.costs(parts)
    whole = sum(costs)
    history = whole if absolute else None
    share = sum(cost * done for cost, done in zip(costs, shares, strict=True)) / whole
    told = any(done > 0 for done in shares)
    if not told or share < _LEAST_SHARE:
        if history is None:
            return Estimate(reason="indeterminate" if facts.percent is None else "no_progress")
        return _by_history_alone(kind, history, clock)
    share = min(share, _MOST_SHARE)
    points = [*path_points(path.stages, _costs_on(path, parts, costs), clock), (clock - silent, share)]
    points = _rising(points)
    blend = kind.blend(share, paces(points, max(1.0, clock - silent), share, history))
    pace = exp(min(30.0, blend.pace))
    # Progress since the last report isn't known; a step of it is, and it goes on at the pace up to there.
    gone = min(silent, 0.9 * _step(facts, parts, costs, whole) * pace)
    left = max(pace * (1 - share) - gone, 0.02 * pace * (1 - share))
    basis = "history" if blend.history > 0.8 else "rate" if blend.history < 0.2 else "blend"
    middle = left * exp(blend.spread * kind.quantile(0.5))
    high = left * exp(blend.spread * kind.quantile(0.9))
    return Estimate(min(middle, _MOST_MS), min(max(middle, high), _MOST_MS), basis)


def _by_history_alone(kind: Kind, whole: float, clock: float) -> Estimate:
    """The job has said nothing of how far it is: what remains of a typical one, given that it isn't over yet."""
    spread = kind.blend(0.02, [whole, None, None]).spread
    passed = _NORMAL.cdf((log(max(clock, 1.0)) - log(whole)) / spread)

    def left(q: float) -> float:
        at = min(1 - 1e-9, passed + q * (1 - passed))
        return max(0.02 * whole, whole * exp(spread * _NORMAL.inv_cdf(max(at, 1e-9))) - clock)

    return Estimate(min(left(0.5), _MOST_MS), min(left(0.9), _MOST_MS), "history")


def _parts(facts: Facts, path: Path, kind: Kind, clock: float) -> tuple[list[Part], list[float]]:
    """The stages that the job has or will have, and how much of each is done."""
    sizes = {stage.name: stage for stage in path.stages}
    if not facts.stages:
        own = sizes.get("")
        size = own.size if own is not None else None
        return [Part("", 1.0, size)], [0.0 if facts.percent is None else facts.percent / 100]
    parts, shares = [], []
    for stage in facts.stages:
        if stage.status == "skipped":
            continue
        own = sizes.get(stage.name)
        part = Part(stage.name, stage.weight, own.size if own is not None else None)
        parts.append(part)
        if stage.status in ("finished", "failed"):
            shares.append(1.0)
        elif stage.status == "pending" or own is None:
            shares.append(0.0)
        elif stage.percent is not None:
            shares.append(min(1.0, stage.percent / 100))
        else:
            shares.append(_by_time(kind, part, clock - own.began))
    if not parts:
        return [Part("", 1.0, None)], [0.0]
    return parts, shares


def _by_time(kind: Kind, part: Part, elapsed: float) -> float:
    """How much of a stage that says nothing is done, by how long it takes as a rule: never all of it."""
    known = kind.stages.get(part.name)
    if known is None:
        return 0.0
    ratio = max(0.0, elapsed) / max(known.cost(part.size), 1.0)
    return ratio / (1 + ratio) if ratio > 1 else ratio / 2


def _costs_on(path: Path, parts: list[Part], costs: list[float]) -> list[float]:
    """The costs of the stages of a path, in its order, and the rest as one that isn't reached."""
    by_name = {part.name: cost for part, cost in zip(parts, costs, strict=True)}
    own = [by_name.pop(stage.name, 0.0) for stage in path.stages if stage.outcome != "skipped"]
    return [*own, sum(by_name.values())]


def _rising(points: Points) -> Points:
    """Without the points beyond the last one: a total may have grown since."""
    clock, share = points[-1]
    return [point for point in points[:-1] if point[1] <= share and point[0] <= clock] + [(clock, share)]


def _step(facts: Facts, parts: list[Part], costs: list[float], whole: float) -> float:
    """How much of the job one report brings, as a share of it."""
    for stage, part, cost in zip((s for s in facts.stages if s.status != "skipped"), parts, costs, strict=False):
        if stage.status == "running":
            return cost / whole * (1.0 if stage.percent is None else 1 / part.size if part.size else 0.01)
    size = parts[0].size
    return min(1.0, 1 / size) if size else 0.01
