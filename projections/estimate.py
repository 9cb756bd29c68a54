"""How long a job will take yet: an interval out of its snapshot, its path, and what is known of its kind.

`estimate` is pure, and is worked out where it is served. See `projections.kinds` for how it comes about.
"""

from math import erfc, exp, expm1, log, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from msgspec import Struct

from projections.kinds import LEVEL, Blend, Kind, Part
from projections.pacing import Points, paces, path_points
from projections.paths import Path
from streamproc.projection import parse_rfc3339

__all__ = ["Estimate", "Facts", "StageFacts", "estimate"]

_LEAST_SHARE: Final = 0.005
_MOST_SHARE: Final = 0.99
_FINAL: Final = frozenset({"finished", "failed", "canceled"})
_MOST_MS: Final = 1e13
_UNKNOWN: Final = Kind()
_NORMAL: Final = NormalDist()
_AT_LEVEL: Final = _NORMAL.inv_cdf(LEVEL)
_AT_P90: Final = _NORMAL.inv_cdf(0.9)
_LEAST_SPREAD: Final = 0.02
_LEAST_LEFT: Final = 0.02
_FAR: Final = 6.0
"""Beyond so many standard deviations a normal distribution is as good as its tail."""


class StageFacts(Struct, frozen=True):
    """What an estimate reads of a stage's snapshot."""

    name: str
    weight: float
    status: str
    percent: float | None


class Total(Struct, frozen=True):
    """Of units, an indicator or items."""

    total: float | None = None


class Facts(Struct, frozen=True):
    """What an estimate reads of a job's snapshot."""

    status: str
    percent: float | None = None
    kind: str | None = None
    stages: list[StageFacts] = []
    items: Total | None = None
    units: Total = Total()
    indicators: list[Total] = []
    progressed_at: str | None = None
    stalled: bool = False

    @property
    def size(self) -> float | None:
        """How large the job is, in whatever it counts."""
        if self.units.total:
            return self.units.total
        if self.indicators:
            return sum(indicator.total or 0 for indicator in self.indicators)
        return None if self.items is None or self.stages else self.items.total  # else they are the stage's


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
    if facts.stalled:
        return Estimate(reason="stalled")  # it has been silent for longer than its kind ever is: nobody knows
    kind = kind or _UNKNOWN
    clock = max(0, (now if path.since is None else path.since) - path.started - path.away)
    silent = 0.0
    if path.since is None and facts.progressed_at is not None:
        silent = min(float(clock), max(0, now - parse_rfc3339(facts.progressed_at)))
    found = _estimate(facts, path, kind, float(clock), silent)
    if facts.status == "paused":
        return Estimate(found.p50, found.p90, found.basis, "paused")
    return found


def _estimate(facts: Facts, path: Path, kind: Kind, clock: float, silent: float) -> Estimate:
    stages = _stages(facts, path, kind, clock)
    parts = [stage.part for stage in stages]
    costs, absolute = kind.costs(parts)
    costs = [cost * stage.chance for cost, stage in zip(costs, stages, strict=True)]
    whole = sum(costs)
    history = whole if absolute else None
    share = sum(cost * stage.share for cost, stage in zip(costs, stages, strict=True)) / whole
    if share < _LEAST_SHARE or not any(stage.told for stage in stages):
        if history is None:
            return Estimate(reason="indeterminate" if facts.percent is None else "no_progress")
        return _by_history_alone(kind, history, clock)
    share = min(share, _MOST_SHARE)
    reached = path_points(path.stages, _costs_on(path, parts, costs), clock)
    running = [(stage, cost) for stage, cost in zip(stages, costs, strict=True) if stage.step is not None]
    step = sum(cost * (stage.step or 0.0) for stage, cost in running) / whole
    silent = silent if running else 0.0
    blend = _blend(kind, reached, clock - silent, share, history)
    # A step that isn't reported yet goes on at the pace up to there; silence beyond it is time without progress.
    usual = min(silent, step * _ms(blend.pace))
    if usual < silent:
        blend = _blend(kind, reached, clock - usual, share, history)
    basis = "history" if blend.history > 0.8 else "rate" if blend.history < 0.2 else "blend"
    return _interval(kind, _ms(blend.pace) * (1 - share), blend.spread, silent, usual, basis)


def _blend(kind: Kind, reached: Points, clock: float, share: float, history: float | None) -> Blend:
    return kind.blend(share, paces(_rising([*reached, (clock, share)]), max(1.0, clock), share, history))


def _ms(logarithm: float) -> float:
    return exp(min(30.0, logarithm))


def _by_history_alone(kind: Kind, whole: float, clock: float) -> Estimate:
    """The job has said nothing of how far it is."""
    blend = kind.blend(0.0, [whole, None, None])
    return _interval(kind, _ms(blend.pace), blend.spread, clock, clock, "history")


def _interval(kind: Kind, left: float, spread: float, silent: float, gone: float, basis: str) -> Estimate:
    """What remains, of what did when the job was heard of last: given that it isn't over after that silence.

    Args:
        left: what remained then, by the blend.
        spread: of the blend, of the log of it.
        silent: since then.
        gone: so much of the silence is no more than a step takes.
    """
    middle, high = (spread * error for error in kind.quantiles())
    typical, width = log(left) + middle, high - middle
    p50 = _yet(typical, max(width / _AT_LEVEL, _LEAST_SPREAD), 0.5, silent, gone)
    p90 = _yet(typical, max(width / _AT_P90, _LEAST_SPREAD), 0.9, silent, gone)
    return Estimate(min(p50, _MOST_MS), min(max(p50, p90), _MOST_MS), basis)


def _yet(typical: float, spread: float, q: float, silent: float, gone: float) -> float:
    """A quantile of a lognormal less the silence, where it is longer; and less no more than `gone` without that."""
    bare = exp(min(40.0, typical - spread * _NORMAL.inv_cdf(1 - q)))
    z = (log(max(silent, 1.0)) - typical) / spread
    if z < -_FAR:
        given = bare - silent
    elif z > _FAR:
        given = silent * expm1(-spread / z * log(1 - q))  # what the tail comes to
    else:
        longer = 0.5 * erfc(z / sqrt(2))  # the chance of it
        given = exp(min(40.0, typical - spread * _NORMAL.inv_cdf((1 - q) * longer))) - silent
    return max(given, bare - gone, _LEAST_LEFT * bare)


class _Stage(NamedTuple):
    """A stage that the job has or will have.

    Args:
        share: how much of it is done.
        told: whether the job has said so.
        step: how much one report of it brings, where it reports.
        chance: that it comes at all.
    """

    part: Part
    share: float
    told: bool = False
    step: float | None = None
    chance: float = 1.0


def _stages(facts: Facts, path: Path, kind: Kind, clock: float) -> list[_Stage]:
    """The stages of a job, and those that its kind has as a rule and it hasn't declared."""
    own = {stage.name: stage for stage in path.stages}
    whole = facts.size
    found: list[_Stage] = []
    for stage in facts.stages:
        if stage.status == "skipped":
            continue
        its = own.get(stage.name)
        part = Part(stage.name, stage.weight, (its.size if its is not None else None) or whole)
        if stage.status in ("finished", "failed"):
            found.append(_Stage(part, 1.0, True))
        elif stage.status == "pending" or its is None:
            found.append(_Stage(part, 0.0))
        elif stage.percent is None:
            found.append(_Stage(part, _by_time(kind, part, clock - its.began)))
        else:
            step = 1 / its.size if its.size else 0.01
            found.append(_Stage(part, min(1.0, stage.percent / 100), stage.percent > 0, min(1.0, step)))
    known = {stage.name for stage in facts.stages}
    if facts.stages or "" not in kind.stages:
        expected = {name: chance for name, chance in kind.presence.items() if name and name not in known}
        found += [
            _Stage(Part(name, 0.0, whole), 0.0, chance=chance) for name, chance in expected.items() if chance > 0.3
        ]
    if not found:
        its = own.get("")
        part = Part("", 1.0, (its.size if its is not None else None) or whole)
        if facts.percent is None or facts.stages:
            return [_Stage(part, 0.0)]
        step = min(1.0, 1 / part.size) if part.size else 0.01
        return [_Stage(part, facts.percent / 100, facts.percent > 0, step)]
    return found


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
