"""Fit `projections.prior`: how estimates err on kinds of which nothing is known.

The errors of the training kinds' runs are pooled, each kind alike, and as a gateway would have met them: a run is
estimated by what those before it have taught. The kinds in `HELD_OUT` are never read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.replay import Replay, replay
from benchmarks.trace_files import HELD_OUT, kinds, load, verify
from projections.kinds import Kind, Trial, weighted_quantile
from projections.prior import POINTS, Moments, Prior

__all__ = ["fit", "training"]

_QUANTILES: Final = 20
_FLAT: Final = Prior([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)] * len(POINTS), [0.0])
"""Where the moments are fitted, none matter yet."""
_PAIRS: Final = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def training() -> dict[str, list[Replay]]:
    """The runs that may be tuned on."""
    names = [kind for kind in kinds() if kind not in HELD_OUT]
    return {kind: [done for run in load(kind) if (done := replay(run)) is not None] for kind in names}


def fit(found: Iterable[Sequence[Replay]]) -> Prior:
    """Pool the errors of kinds' runs, given in their order."""
    found = list(found)
    pools: list[list[tuple[float, tuple[float, float, float]]]] = [[] for _ in POINTS]
    for runs in found:
        own: list[list[tuple[float, float, float]]] = [[] for _ in POINTS]
        for trial, _ in _trials(runs, _FLAT):
            if trial.errors is not None:
                own[trial.at].append(trial.errors)
        for pool, errors in zip(pools, own, strict=True):
            pool += [(1 / len(errors), error) for error in errors]
    prior = Prior([_moments(pool) for pool in pools], _FLAT.errors)
    standard = []
    for runs in found:
        of_kind = [
            (trial.standard(known.blend(POINTS[trial.at], trial.guesses)), trial.weight)
            for trial, known in _trials(runs, prior)
        ]
        whole = sum(weight for _, weight in of_kind)
        standard += [(error, weight / whole) for error, weight in of_kind]
    standard.sort()
    return prior._replace(errors=[weighted_quantile(standard, (at + 0.5) / _QUANTILES) for at in range(_QUANTILES)])


def _trials(runs: Sequence[Replay], prior: Prior) -> Iterator[tuple[Trial, Kind]]:
    kind = Kind(prior)
    for run in runs:
        for trial in kind.trials(run.run):
            yield trial, kind
        kind.learn(run.run)


def _moments(pool: Sequence[tuple[float, Sequence[float]]]) -> Moments:
    whole = sum(weight for weight, _ in pool)
    mean = [sum(weight * error[way] for weight, error in pool) / whole for way in range(3)]
    h, r, m, hr, hm, rm = (
        sum(weight * (error[i] - mean[i]) * (error[j] - mean[j]) for weight, error in pool) / whole for i, j in _PAIRS
    )
    return mean[0], mean[1], mean[2], h, r, m, hr, hm, rm


def _print(prior: Prior) -> None:
    print("PRIOR: Final = Prior(\n    (")
    for moments in prior.moments:
        print(f"        ({', '.join(f'{value:.2f}' for value in moments)}),")
    print(f"    ),\n    ({', '.join(f'{error:.2f}' for error in prior.errors)}),\n)")


if __name__ == "__main__":
    verify()
    _print(fit(training().values()))
