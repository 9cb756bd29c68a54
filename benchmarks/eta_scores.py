"""How good the answers of an estimator were."""

import random
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Final

from msgspec import Struct

from benchmarks.eta_methods import Answers
from benchmarks.replay import Replay

__all__ = ["Score", "common", "interval", "score"]

_RESAMPLES: Final = 2000


class Score(Struct):
    """One run by one estimator. Errors are shares of the run's duration, times are in durations too.

    Where the estimator gives an interval, `halves` and `covered` tell whether p50 and p90 held.
    """

    errors: list[float | None]
    ratios: list[float]
    halves: list[bool]
    covered: list[bool]
    widths: list[float]
    moved: float
    jumps: int

    @property
    def error(self) -> float:
        known = [error for error in self.errors if error is not None]
        return statistics.mean(known) if known else float("nan")


def score(tested: Replay, answers: Answers) -> Score:
    whole = tested.seconds
    errors, ratios, halves, covered, widths = [], [], [], [], []
    finishes = []
    for said in answers:
        if said.middle is None:
            errors.append(None)
            continue
        errors.append(abs(said.middle - said.left) / whole)
        ratios.append(abs(log(max(said.middle, 0.05) / max(said.left, 0.05))))
        finishes.append(said.at + said.middle)
        if said.high is not None:
            halves.append(said.left <= said.middle)
            covered.append(said.left <= said.high)
            widths.append((said.high - said.middle) / whole)
    moves = [(after - before) / whole for before, after in pairwise(finishes)]
    return Score(errors, ratios, halves, covered, widths, sum(map(abs, moves)), sum(move > 0.1 for move in moves))


def common(scores: Mapping[str, Score], one: str, other: str) -> tuple[float, float] | None:
    """The mean errors of two estimators where both said something."""
    pairs = [
        (a, b) for a, b in zip(scores[one].errors, scores[other].errors, strict=True) if a is not None and b is not None
    ]
    if not pairs:
        return None
    return statistics.mean(a for a, _ in pairs), statistics.mean(b for _, b in pairs)


def interval(values: Sequence[float], seed: int = 7) -> tuple[float, float, float]:
    """The mean, and its 95 % interval by resampling runs."""
    chance = random.Random(seed)
    means = sorted(statistics.mean(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return statistics.mean(values), means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES)]
