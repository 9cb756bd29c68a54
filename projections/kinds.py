"""What is known of a kind of job: how long its stages take, and how far each way to estimate was off.

A `Kind` learns from runs, oldest first. Before a run is added it is estimated at eleven points of its progress by
what was known until then, in three ways (see `projections.pacing`); how far each was off, and how their errors go
together, is what makes their weights later, and what the interval is calibrated by.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import exp, log
from typing import Final, NamedTuple

from projections.pacing import interpolate, paces, path_points
from projections.paths import Run
from projections.prior import POINTS, PRIOR, Moments, Prior

__all__ = ["FURTHEST", "LEVEL", "Blend", "Kind", "Part", "Trial", "weighted_quantile"]

LEVEL: Final = 0.95
"""So many of the past errors an interval covers, that nine in ten of those to come lie within it.

They are less like the past than the past is like itself. Chosen by `python -m benchmarks.eta
--tune`, which estimates each kind by a prior that was fitted to the others."""
FURTHEST: Final = 3.0
"""Errors beyond count as such, in logs of a pace and in standard deviations: one odd run must not spoil its kind."""
_FORGET: Final = 0.94
"""What a run counts after one more."""
_PRESENCE: Final = 0.7
"""What is left of whether a run had a stage, after one more."""
_PRIOR_RUNS: Final = 8.0
_KEPT_ERRORS: Final = 20 * len(POINTS)
_LEAST_VARIANCE: Final = 1e-3
_PRIOR_SLOPE: Final = 0.5
_LEAST_MS: Final = 1.0


class Part(NamedTuple):
    """A stage of a job as an estimate sees it: its declared weight, and its size where that is told."""

    name: str
    weight: float
    size: float | None


class _Stage:
    """How long a stage takes: log ms, and log ms by log size."""

    __slots__ = ("logs", "n", "sized", "sx", "sxx", "sxy", "sy")

    def __init__(self) -> None:
        self.n = self.logs = 0.0
        self.sized = self.sx = self.sy = self.sxx = self.sxy = 0.0

    def learn(self, ms: float, size: float | None) -> None:
        y = log(max(ms, _LEAST_MS))
        self.n = self.n * _FORGET + 1
        self.logs = self.logs * _FORGET + y
        if size is not None and size > 0:
            x = log(size)
            self.sized = self.sized * _FORGET + 1
            self.sx = self.sx * _FORGET + x
            self.sy = self.sy * _FORGET + y
            self.sxx = self.sxx * _FORGET + x * x
            self.sxy = self.sxy * _FORGET + x * y

    def cost(self, size: float | None) -> float:
        """Its ms in a typical run. By size, least squares in logs, the slope drawn towards 1."""
        if size is not None and size > 0 and self.sized >= 0.5 * self.n:
            mean_x, mean_y = self.sx / self.sized, self.sy / self.sized
            spread = max(0.0, self.sxx - self.sx * mean_x)
            together = self.sxy - self.sx * mean_y
            slope = (together + _PRIOR_SLOPE) / (spread + _PRIOR_SLOPE)
            return exp(min(40.0, mean_y + slope * (log(size) - mean_x)))
        return exp(self.logs / self.n)


class _Errors:
    """How far the three ways were off at one point: sums of their errors, in the order of `Moments`."""

    __slots__ = ("n", "prior", "sums")

    def __init__(self, prior: Moments) -> None:
        h, r, m, hh, rr, mm, hr, hm, rm = prior
        self.prior = (h, r, m, hh + h * h, rr + r * r, mm + m * m, hr + h * r, hm + h * m, rm + r * m)
        self.n = 0.0
        self.sums: Sequence[float] = (0.0,) * len(prior)

    def learn(self, h: float, r: float, m: float) -> None:
        new = (h, r, m, h * h, r * r, m * m, h * r, h * m, r * m)
        self.n = self.n * _FORGET + 1
        self.sums = [old * _FORGET + value for old, value in zip(self.sums, new, strict=True)]

    def moments(self) -> Moments:
        """The prior counts as some runs."""
        n = self.n + _PRIOR_RUNS
        h, r, m, hh, rr, mm, hr, hm, rm = (
            (total + _PRIOR_RUNS * usual) / n for total, usual in zip(self.sums, self.prior, strict=True)
        )
        hh, rr, mm = hh - h * h + _LEAST_VARIANCE, rr - r * r + _LEAST_VARIANCE, mm - m * m + _LEAST_VARIANCE
        return h, r, m, hh, rr, mm, hr - h * r, hm - h * m, rm - r * m


class Blend(NamedTuple):
    """The three ways together: the log of the pace, its standard deviation, and the weight of history in it."""

    pace: float
    spread: float
    history: float


class Trial(NamedTuple):
    """A run at one point, as it was estimated before it was learned.

    Args:
        at: which of `POINTS`.
        weight: how much of the run's time lies around it.
        true: the log of the pace that would have been right.
        guesses: the paces by the three ways.
    """

    at: int
    weight: float
    true: float
    guesses: Sequence[float | None]

    @property
    def errors(self) -> tuple[float, float, float] | None:
        """How far the ways were off; None where nothing was known of the kind."""
        history, rate, recent = self.guesses
        if history is None or rate is None or recent is None:
            return None
        return _within(self.true - log(history)), _within(self.true - log(rate)), _within(self.true - log(recent))

    def standard(self, blend: Blend) -> float:
        """How far the three ways together were off, in standard deviations."""
        return _within((self.true - blend.pace) / blend.spread)


class Kind:
    """What runs have taught of one kind.

    Args:
        prior: what it is taken for before.
    """

    level = LEVEL

    def __init__(self, prior: Prior = PRIOR) -> None:
        self.runs = 0
        self.stages: dict[str, _Stage] = {}
        self.presence: dict[str, float] = {}
        self._prior = prior
        self._errors = [_Errors(moments) for moments in prior.moments]
        self._standard: list[tuple[float, float]] = []
        self._quantiles: tuple[float, float] | None = None

    def costs(self, parts: Sequence[Part]) -> tuple[list[float], bool]:
        """What each part weighs, in ms where anything of it is known (and whether that is so)."""
        known = [self.stages[part.name].cost(part.size) if part.name in self.stages else None for part in parts]
        learned = [(cost, part.weight) for cost, part in zip(known, parts, strict=True) if cost is not None]
        weights = sum(weight for _, weight in learned)
        if not learned:
            return [max(part.weight, 1e-9) for part in parts], False
        scale = sum(cost for cost, _ in learned) / weights if weights > 0 else 0.0
        costs = [scale * part.weight if cost is None else cost for cost, part in zip(known, parts, strict=True)]
        return [max(cost, 1e-3) for cost in costs], True

    def learn(self, run: Run) -> None:
        """Add a run. Only one that finished says how long its kind takes."""
        self.runs += 1
        if run.outcome != "finished" or not run.stages:
            return
        self._meet(stage.name for stage in run.stages if stage.outcome != "skipped")
        for trial in self.trials(run):
            blend = self._weigh(self._moments(trial.at), trial.guesses)
            self._standard.append((trial.standard(blend), trial.weight))
            errors = trial.errors
            if errors is not None:
                self._errors[trial.at].learn(*errors)
        del self._standard[:-_KEPT_ERRORS]
        self._quantiles = None
        for stage in run.stages:
            if stage.outcome != "skipped" and stage.ended is not None:
                size = stage.size or run.size
                self.stages.setdefault(stage.name, _Stage()).learn(stage.ended - stage.began, size)

    def trials(self, run: Run) -> Iterator[Trial]:
        """How a run would have been estimated by what is known until now, at each of `POINTS`."""
        parts = [Part(stage.name, 1.0, stage.size or run.size) for stage in run.stages if stage.outcome != "skipped"]
        costs, absolute = self.costs(parts)
        history = sum(costs) if absolute else None
        points = path_points(run.stages, costs, run.duration)
        clocks = [interpolate(points, share) for share in POINTS]
        borders = [0.0, *((one + other) / 2 for one, other in pairwise(clocks)), float(run.duration)]
        for at, (share, clock) in enumerate(zip(POINTS, clocks, strict=True)):
            left = run.duration - clock
            if clock > 0 and left > 0:
                weight = (borders[at + 1] - borders[at]) / run.duration
                yield Trial(at, weight, log(left / (1 - share)), paces(points, clock, share, history))

    def blend(self, share: float, guesses: Sequence[float | None]) -> Blend:
        """Weigh the ways by the inverse of what is known of their errors' covariance there."""
        right = min(max(bisect_left(POINTS, share), 1), len(POINTS) - 1)
        left = right - 1
        by = min(1.0, max(0.0, (share - POINTS[left]) / (POINTS[right] - POINTS[left])))
        before, after = self._moments(left), self._moments(right)
        return self._weigh([(1 - by) * one + by * other for one, other in zip(before, after, strict=True)], guesses)

    def quantiles(self) -> tuple[float, float]:
        """What half and nine in ten of the errors to come stay below, in standard deviations of a blend."""
        if self._quantiles is None:
            errors = self._prior.errors
            usual = [(error, _PRIOR_RUNS / len(errors)) for error in errors]
            found = sorted(self._standard + usual)
            self._quantiles = weighted_quantile(found, 0.5), weighted_quantile(found, self.level)
        return self._quantiles

    def _meet(self, names: Iterable[str]) -> None:
        met = set(names)
        for name in met | self.presence.keys():
            before = self.presence.get(name, 0.0 if self.runs > 1 else 1.0)
            self.presence[name] = _PRESENCE * before + (1 - _PRESENCE) * (name in met)

    def _moments(self, at: int) -> Moments:
        return self._errors[at].moments()

    def _weigh(self, moments: Sequence[float], guesses: Sequence[float | None]) -> Blend:
        weights = _weights(moments, [way for way, guess in enumerate(guesses) if guess is not None])
        pace = sum(weights[way] * (log(guess) + moments[way]) for way, guess in enumerate(guesses) if guess is not None)
        h, r, m = weights
        variance = h * h * moments[3] + r * r * moments[4] + m * m * moments[5]
        variance += 2 * (h * r * moments[6] + h * m * moments[7] + r * m * moments[8])
        return Blend(pace, max(variance, 1e-4) ** 0.5, h)


def weighted_quantile(found: Sequence[tuple[float, float]], q: float) -> float:
    """A quantile of values with weights, rising, between its neighbours; each stands in the middle of its weight."""
    goal = q * sum(weight for _, weight in found)
    passed, before = 0.0, (found[0][0], 0.0)
    for value, weight in found:
        at = passed + weight / 2
        if at >= goal > before[1]:
            return before[0] + (value - before[0]) * (goal - before[1]) / (at - before[1])
        passed, before = passed + weight, (value, at)
    return found[-1][0]


def _within(error: float) -> float:
    return max(-FURTHEST, min(FURTHEST, error))


def _weights(moments: Sequence[float], ways: Sequence[int]) -> list[float]:
    """The weights of least variance, none of them negative: C⁻¹1 / 1ᵀC⁻¹1 over the ways that keep one."""
    hh, rr, mm, hr, hm, rm = moments[3:]
    weights = [0.0, 0.0, 0.0]
    if len(ways) == 3:
        found = [
            rr * mm - rm * rm + rm * hm - hr * mm + hr * rm - hm * rr,
            hh * mm - hm * hm + hm * hr - rm * hh + rm * hm - hr * mm,
            hh * rr - hr * hr + hr * rm - hm * rr + hm * hr - rm * hh,
        ]
        whole = sum(found)
        if whole > 0 and min(found) >= 0:
            return [one / whole for one in found]
        least = found.index(min(found))
        ways = [way for way in ways if way != least]
    if len(ways) == 2:
        one, other = ways
        both = moments[5 + one + other]
        whole = moments[3 + one] + moments[3 + other] - 2 * both
        share = (moments[3 + other] - both) / whole if whole > 0 else 0.5
        weights[one] = min(1.0, max(0.0, share))
        weights[other] = 1.0 - weights[one]
    elif ways:
        weights[ways[0]] = 1.0
    return weights
