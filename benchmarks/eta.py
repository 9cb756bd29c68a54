"""How good the estimates are: against what people use today, on recorded runs of real programs.

All estimators see the same reports on a virtual clock, and are asked at 50 even times of each run. A run is estimated
by what the runs of its kind before it have taught. The later half of each kind's runs is tested; the kinds in
`HELD_OUT` were kept out of all tuning, and are what is claimed.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import exp, log
from pathlib import Path as File
from typing import Any, Final

from msgspec import Struct

from benchmarks.estimators import Bar, DoubleExponential, Linear, Rich, Tqdm
from benchmarks.replay import EPOCH, Replay, replay
from benchmarks.report import machine
from benchmarks.trace_files import HELD_OUT, kinds, load, verify
from projections.estimate import estimate
from projections.kinds import Blend, Kind, Matrix, Part, Vector, prior_at
from projections.serving import Shown, steady

HISTORIES: Final = (0, 1, 3, 10, 50)
_RESAMPLES: Final = 2000
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


# The estimators -----------------------------------------------------------------------------------------------------


def ours(tested: Replay, kind: Kind, before: Sequence[Replay], *, calm: bool = True) -> Answers:
    """Ours, as a gateway serves it: with finish instants that stay while they are about right."""
    began = EPOCH + tested.trace.events[0][0]
    shown: Shown | None = None
    answers = []
    for sample in tested.samples:
        now = began + round(sample.at * 1000)
        found = estimate(sample.facts, sample.path, kind, now)
        middle, high = found.p50, found.p90
        if calm and middle is not None:
            shown = steady(found, now, shown)
            if shown is not None:
                middle, high = shown.p50 - now, shown.p90 - now
        answers.append(
            Said(
                sample.at,
                sample.left,
                None if middle is None else middle / 1000,
                None if high is None else high / 1000,
            )
        )
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
    "streamproc": ours,
    "streamproc, at once": at_once,
    "mean of the last 3": last_three,
    **{f"{name}, equal weights": bar(make, learned=False) for name, make in _BARS.items()},
    **{f"{name}, learned weights": bar(make, learned=True) for name, make in _BARS.items()},
}
RIVALS: Final = ("mean of the last 3", *(f"{name}, learned weights" for name in _BARS))


# Ablations: ours without one of its parts -----------------------------------------------------------------------------


class _Without(Kind):
    """A kind that leaves out one of the three ways."""

    way = 0

    def blend(self, share: float, guesses: Sequence[float | None]) -> Blend:
        kept = [None if way == self.way else guess for way, guess in enumerate(guesses)]
        return super().blend(share, kept if any(guess is not None for guess in kept) else guesses)


class _WithoutHistory(_Without):
    way = 0


class _WithoutRate(_Without):
    way = 1


class _WithoutRecent(_Without):
    way = 2


class _WithoutSizes(Kind):
    def costs(self, parts: Sequence[Part]) -> tuple[Vector, bool]:
        return super().costs([part._replace(size=None) for part in parts])


class _WithoutLearnedErrors(Kind):
    def _learned(self, at: int) -> tuple[Matrix, Vector]:
        return prior_at(at)


class _WithoutLearnedStages(Kind):
    def costs(self, parts: Sequence[Part]) -> tuple[Vector, bool]:
        costs, absolute = super().costs(parts)
        whole, weights = sum(costs), sum(part.weight for part in parts)
        return ([whole * part.weight / weights for part in parts], True) if absolute and weights else (costs, absolute)


ABLATIONS: Final[dict[str, type[Kind]]] = {
    "whole": Kind,
    "without history": _WithoutHistory,
    "without the rate": _WithoutRate,
    "without the recent rate": _WithoutRecent,
    "without sizes": _WithoutSizes,
    "without learned stages": _WithoutLearnedStages,
    "without learned errors": _WithoutLearnedErrors,
}


# What is measured ---------------------------------------------------------------------------------------------------


class Score(Struct):
    """One run by one estimator. Errors are shares of the run's duration, times are in durations too."""

    errors: list[float | None]
    ratios: list[float]
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
    errors, ratios, covered, widths = [], [], [], []
    finishes = []
    for said in answers:
        if said.middle is None:
            errors.append(None)
            continue
        errors.append(abs(said.middle - said.left) / whole)
        ratios.append(abs(log(max(said.middle, 0.05) / max(said.left, 0.05))))
        finishes.append(said.at + said.middle)
        if said.high is not None:
            covered.append(said.left <= said.high)
            widths.append((said.high - said.middle) / whole)
    moves = [(after - before) / whole for before, after in pairwise(finishes)]
    return Score(errors, ratios, covered, widths, sum(map(abs, moves)), sum(move > 0.1 for move in moves))


def common(scores: dict[str, Score], one: str, other: str) -> tuple[float, float] | None:
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


# Runs in their order ------------------------------------------------------------------------------------------------


def taught(runs: Sequence[Replay], of: type[Kind] = Kind) -> Kind:
    kind = of()
    for run in runs:
        kind.learn(run.run)
    return kind


def tests(runs: Sequence[Replay], part: str) -> Iterator[tuple[Replay, Sequence[Replay]]]:
    """The runs of a part of a kind's, each with those before it."""
    middle = len(runs) // 2
    chosen = range(middle, len(runs)) if part == "later" else range(middle)
    for at in chosen:
        yield runs[at], runs[:at]


def scores_of(found: dict[str, list[Replay]], names: Sequence[str], part: str) -> list[tuple[str, dict[str, Score]]]:
    """Every tested run's scores, by estimator, with its kind."""
    scored = []
    for kind in names:
        for tested, before in tests(found[kind], part):
            known = taught(before)
            scored.append(
                (kind, {name: score(tested, method(tested, known, before)) for name, method in METHODS.items()})
            )
    return scored


def table(scored: Sequence[tuple[str, dict[str, Score]]]) -> None:
    print(
        f"  {'':<36}{'error':>8}{'ratio 50%':>11}{'ratio 90%':>11}{'moved':>8}{'jumps':>8}{'null':>8}"
        f"{'p90 held':>10}{'width':>8}"
    )
    for name in METHODS:
        runs = [scores[name] for _, scores in scored]
        errors = [run.error for run in runs if run.ratios]
        ratios = sorted(ratio for run in runs for ratio in run.ratios)
        said = [error is None for run in runs for error in run.errors]
        covered = [held for run in runs for held in run.covered]
        widths = [width for run in runs for width in run.widths]
        line = f"  {name:<36}{statistics.mean(errors):>8.3f}" if errors else f"  {name:<36}{'-':>8}"
        line += f"{exp(ratios[len(ratios) // 2]):>11.2f}{exp(ratios[len(ratios) * 9 // 10]):>11.2f}" if ratios else ""
        line += f"{statistics.mean(run.moved for run in runs):>8.2f}{statistics.mean(run.jumps for run in runs):>8.2f}"
        line += f"{statistics.mean(said):>8.1%}"
        if covered:
            line += f"{statistics.mean(covered):>10.3f}{statistics.mean(widths):>8.3f}"
        print(line)


def rivals(scored: Sequence[tuple[str, dict[str, Score]]]) -> None:
    """Ours less each rival with learned weights, run by run where both say something."""
    for name in RIVALS:
        pairs = [common(scores, "streamproc", name) for _, scores in scored]
        differences = [one - other for one, other in (pair for pair in pairs if pair is not None)]
        mean, low, high = interval(differences)
        print(f"  {name:<36}{mean:>+8.3f}  ({low:+.3f} to {high:+.3f}, {len(differences)} runs)")


def by_decile(scored: Sequence[tuple[str, dict[str, Score]]]) -> None:
    best = min(RIVALS, key=lambda name: statistics.mean(s[name].error for _, s in scored if s[name].ratios))
    print(f"  {'time':<8}{'streamproc':>12}{best:>32}{'p90 held':>10}")
    for decile in range(10):
        line = f"  {decile * 10:>3} %   "
        for name in ("streamproc", best):
            picked = [
                error
                for _, scores in scored
                for at, error in enumerate(scores[name].errors)
                if error is not None and at * 10 // len(scores[name].errors) == decile
            ]
            width = 12 if name == "streamproc" else 32
            line += f"{statistics.mean(picked):>{width}.3f}" if picked else f"{'-':>{width}}"
        held = [
            is_held
            for _, scores in scored
            for at, is_held in enumerate(scores["streamproc"].covered)
            if at * 10 // max(1, len(scores["streamproc"].covered)) == decile
        ]
        print(line + (f"{statistics.mean(held):>10.2f}" if held else ""))


def by_history(found: dict[str, list[Replay]], names: Sequence[str]) -> None:
    """The same later runs, estimated by so many runs before them."""
    print(f"  {'runs before':<14}{'streamproc':>12}{'best of the others':>20}{'p90 held':>10}")
    for most in HISTORIES:
        errors: dict[str, list[float]] = {name: [] for name in ("streamproc", *RIVALS)}
        held: list[bool] = []
        for kind in names:
            for tested, before in tests(found[kind], "later"):
                known = taught(before[len(before) - min(most, len(before)) :])
                history = before[len(before) - min(most, len(before)) :]
                for name, into in errors.items():
                    scored = score(tested, METHODS[name](tested, known, history))
                    if scored.ratios:
                        into.append(scored.error)
                    if name == "streamproc":
                        held += scored.covered
        best = min(statistics.mean(errors[name]) for name in RIVALS if errors[name])
        print(f"  {most:<14}{statistics.mean(errors['streamproc']):>12.3f}{best:>20.3f}{statistics.mean(held):>10.3f}")


def ablations(found: dict[str, list[Replay]], names: Sequence[str]) -> None:
    for label, of in ABLATIONS.items():
        scored = [
            score(tested, ours(tested, taught(before, of), before))
            for kind in names
            for tested, before in tests(found[kind], "later")
        ]
        held = [is_held for each in scored for is_held in each.covered]
        print(f"  {label:<36}{statistics.mean(each.error for each in scored if each.ratios):>8.3f}"
              f"{statistics.mean(each.moved for each in scored):>8.2f}{statistics.mean(held):>10.3f}")  # fmt: skip


def plot(found: dict[str, list[Replay]], names: Sequence[str], file: File) -> None:
    """True and estimated remaining time of the last run of each kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [found[name] for name in names]
    columns = 4
    rows = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for runs, axis in zip(shown, axes.flat, strict=False):
        *before, tested = runs
        known = taught(before)
        answers = ours(tested, known, before)
        ats = [said.at for said in answers]
        low, high = [said.middle for said in answers], [said.high for said in answers]
        axis.plot(ats, [said.left for said in answers], color="black", linewidth=1, label="true")
        axis.plot(ats, low, color="#2563eb", linewidth=1.5, label="p50")
        axis.fill_between(
            ats, [x or 0 for x in low], [x or 0 for x in high], color="#2563eb", alpha=0.2, label="to p90"
        )
        rich = METHODS["rich, learned weights"](tested, known, before)
        axis.plot(ats, [said.middle for said in rich], color="#dc2626", linewidth=0.8, alpha=0.8, label="rich")
        axis.set_title(f"{tested.trace.kind}, run {tested.trace.number}", fontsize=9)
        axis.set_ylim(0, 2 * tested.seconds)
        axis.tick_params(labelsize=7)
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("seconds since the start", fontsize=9)
    figure.supylabel("seconds remaining", fontsize=9)
    figure.savefig(file, dpi=90)


def cost(found: dict[str, list[Replay]]) -> None:
    """What the fold costs an event, and how large a path is."""
    from benchmarks.fold_cost import bytes_of_paths, ns_per_event

    traces = [run.trace for runs in found.values() for run in runs]
    times = [ns_per_event(traces) for _ in range(5)]
    print(f"  fold of an event: {statistics.median(times):.0f} ns (5 runs, {min(times):.0f} to {max(times):.0f})")
    mean, most = bytes_of_paths([run for runs in found.values() for run in runs])
    print(f"  path, bytes a job and stage: {mean:.0f} in the mean, {most:.0f} at most")
    begun, samples = time.perf_counter(), 0
    for runs in found.values():
        known = taught(runs[:-1])
        samples += len(ours(runs[-1], known, runs[:-1]))
    print(f"  one estimate: {(time.perf_counter() - begun) / samples * 1e6:.0f} us, learning included")


def read() -> dict[str, list[Replay]]:
    verify()
    found = {kind: [done for run in load(kind) if (done := replay(run)) is not None] for kind in kinds()}
    return {kind: runs for kind, runs in found.items() if runs}


def main(options: Any) -> None:
    found = read()
    training = [kind for kind in found if kind not in HELD_OUT]
    held_out = [kind for kind in found if kind in HELD_OUT]
    for name, value in machine("none").items():
        print(f"  {name}: {value}")
    for kind, runs in found.items():
        seconds = sorted(run.seconds for run in runs)
        print(f"  {kind}{' (held out)' if kind in HELD_OUT else ''}: {len(runs)} finished runs of {seconds[0]:.1f} to "
              f"{seconds[-1]:.1f} s")  # fmt: skip
    for title, names in (("kinds kept out of all tuning", held_out), ("the other kinds", training)):
        scored = scores_of(found, names, options.part)
        print(f"\n{title}: {len(scored)} runs, {options.part} half")
        table(scored)
        print("\n  streamproc's error less that of (below 0: streamproc is better), 95 % interval")
        rivals(scored)
        print("\n  by time, in tenths of the run")
        by_decile(scored)
        print("\n  by length of history")
        by_history(found, names)
        print("\n  ablations: error, moved, p90 held")
        ablations(found, names)
    print("\ncost")
    cost(found)
    if options.plot:
        plot(found, [*held_out, *training], options.plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", choices=["later", "earlier"], default="later", help="which half of the runs is tested"
    )
    parser.add_argument("--plot", type=File, help="a PNG of true and estimated remaining time")
    main(parser.parse_args())
