"""The estimators that are compared: ours, ours without one of its parts, and what people use today."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.estimators import Bar, DoubleExponential, Linear, Rich, Tqdm
from benchmarks.replay import EPOCH, Replay
from projections.estimate import estimate
from projections.kinds import LEVEL, Blend, Kind, Part, Trial, weighted_quantile
from projections.paths import Run
from projections.prior import POINTS, PRIOR, Moments, Prior
from projections.serving import Shown, steady

__all__ = ["ABLATIONS", "METHODS", "OURS", "RIVALS", "Answers", "Variant", "ours", "taught"]

OURS: Final = "streamproc"
_BARS: Final[dict[str, Callable[[float], Bar]]] = {
    "linear": Linear,
    "tqdm .3": lambda began: Tqdm(began, 0.3),
    "tqdm 0": lambda began: Tqdm(began, 0.0),
    "rich": Rich,
    "double exponential": DoubleExponential,
}


class Said(Struct):
    """What an estimator said at one moment of a run, in seconds. `high` is its p90, where it has one."""

    at: float
    left: float
    middle: float | None
    high: float | None = None


Answers = list[Said]
Method = Callable[[Replay, Kind, Sequence[Replay]], Answers]


def taught(runs: Sequence[Replay], prior: Prior = PRIOR, of: type[Kind] = Kind) -> Kind:
    """What a kind has learned from runs."""
    kind = of(prior)
    for run in runs:
        kind.learn(run.run)
    return kind


def ours(tested: Replay, kind: Kind, before: Sequence[Replay], *, calm: bool = True, silence: bool = True) -> Answers:
    """Ours, as a gateway serves it.

    Args:
        calm: finish instants stay while they are about right.
        silence: it counts for how long nothing has been reported.
    """
    began = EPOCH + tested.trace.events[0][0]
    shown: Shown | None = None
    answers = []
    for sample in tested.samples:
        now = began + round(sample.at * 1000)
        facts = sample.facts if silence else replace(sample.facts, progressed_at=None)
        found = estimate(facts, sample.path, kind, now)
        if found.p50 is None or found.p90 is None:
            answers.append(Said(sample.at, sample.left, None))
            continue
        middle, high = found.p50, found.p90
        if calm:
            shown = steady(found, now, shown)
            if shown is not None:
                middle, high = shown.p50 - now, shown.p90 - now
        answers.append(Said(sample.at, sample.left, middle / 1000, high / 1000))
    return answers


def at_once(tested: Replay, kind: Kind, before: Sequence[Replay]) -> Answers:
    return ours(tested, kind, before, calm=False)


def last_three(tested: Replay, kind: Kind, before: Sequence[Replay]) -> Answers:
    """The mean of the last three runs, less the time so far."""
    known = [run.run.duration / 1000 for run in before[-3:]]
    mean = statistics.mean(known) if known else None
    return [Said(s.at, s.left, None if mean is None else max(0.0, mean - s.at)) for s in tested.samples]


def bar(make: Callable[[float], Bar], *, learned: bool) -> Method:
    """A progress bar over the job's percent, by equal weights of its stages or by those that were learned."""

    def answer(tested: Replay, kind: Kind, before: Sequence[Replay]) -> Answers:
        updates, answers = iter(tested.updates), []
        update, drawn, attempt = next(updates, None), make(0.0), 1
        for sample in tested.samples:
            while update is not None and update.at <= sample.at:
                if update.attempt != attempt:
                    drawn, attempt = make(update.at), update.attempt
                parts = [Part(name, 1.0, None) for name in update.shares]
                costs = kind.costs(parts)[0] if learned else [1.0] * len(parts)
                done = sum(cost * share for cost, share in zip(costs, update.shares.values(), strict=True))
                drawn.update(update.at, min(1.0, done / sum(costs)) if costs else 0.0)
                update = next(updates, None)
            answers.append(Said(sample.at, sample.left, drawn.remaining(sample.at)))
        return answers

    return answer


METHODS: Final[dict[str, Method]] = {
    OURS: ours,
    "streamproc, at once": at_once,
    "mean of the last 3": last_three,
    **{f"{name}, equal weights": bar(make, learned=False) for name, make in _BARS.items()},
    **{f"{name}, learned weights": bar(make, learned=True) for name, make in _BARS.items()},
}
RIVALS: Final = ("mean of the last 3", *(f"{name}, learned weights" for name in _BARS))


# Ours without one of its parts --------------------------------------------------------------------------------------


class _Without(Kind):
    """A kind that leaves out one of the three ways."""

    way = 0

    def _weigh(self, moments: Sequence[float], guesses: Sequence[float | None]) -> Blend:
        kept = [None if way == self.way else guess for way, guess in enumerate(guesses)]
        return super()._weigh(moments, kept if any(guess is not None for guess in kept) else guesses)


class _WithoutHistory(_Without):
    way = 0


class _WithoutRate(_Without):
    way = 1


class _WithoutRecent(_Without):
    way = 2


class _WithoutSizes(Kind):
    def costs(self, parts: Sequence[Part]) -> tuple[list[float], bool]:
        return super().costs([part._replace(size=None) for part in parts])


class _WithoutLearnedStages(Kind):
    def costs(self, parts: Sequence[Part]) -> tuple[list[float], bool]:
        costs, absolute = super().costs(parts)
        whole, weights = sum(costs), sum(part.weight for part in parts)
        return ([whole * part.weight / weights for part in parts], True) if absolute and weights else (costs, absolute)


class _WithoutLearnedErrors(Kind):
    def _moments(self, at: int) -> Moments:
        return self._prior.moments[at]


class _NormalQuantiles(Kind):
    def quantiles(self) -> tuple[float, float]:
        return 0.0, 1.2816


class _OwnQuantiles(Kind):
    def quantiles(self) -> tuple[float, float]:
        own = sorted(self._standard)
        return (weighted_quantile(own, 0.5), weighted_quantile(own, LEVEL)) if own else super().quantiles()


class _PlainLevel(Kind):
    level = 0.9


class _EvenWeights(Kind):
    def trials(self, run: Run) -> Iterator[Trial]:
        return (trial._replace(weight=1 / len(POINTS)) for trial in super().trials(run))


class Variant(NamedTuple):
    """Ours, otherwise."""

    kind: type[Kind] = Kind
    calm: bool = True
    silence: bool = True


ABLATIONS: Final = {
    "whole": Variant(),
    "without history": Variant(_WithoutHistory),
    "without the rate": Variant(_WithoutRate),
    "without the recent rate": Variant(_WithoutRecent),
    "without sizes": Variant(_WithoutSizes),
    "without learned stages": Variant(_WithoutLearnedStages),
    "without learned weights of the ways": Variant(_WithoutLearnedErrors),
    "without silence": Variant(silence=False),
    "without steadiness": Variant(calm=False),
    "quantiles of a normal distribution": Variant(_NormalQuantiles),
    "quantiles without the prior's": Variant(_OwnQuantiles),
    "the past's own 90 %": Variant(_PlainLevel),
    "errors not weighted by time": Variant(_EvenWeights),
}
