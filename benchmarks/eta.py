"""How good the estimates are: against what people use today, on recorded runs of real programs.

All estimators see the same reports on a virtual clock, and are asked at 50 even times of each run. A run is estimated
by what the runs of its kind before it have taught. The later half of each kind's runs is tested; the kinds in
`HELD_OUT` were kept out of all tuning, and are what is claimed. Of the others each is estimated by a prior that was
fitted without it.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from math import exp
from pathlib import Path as File
from typing import Any, Final

from benchmarks.eta_methods import ABLATIONS, METHODS, OURS, RIVALS, ours, taught
from benchmarks.eta_plot import plot
from benchmarks.eta_scores import Score, common, interval, score
from benchmarks.fit_prior import fit
from benchmarks.replay import Replay, replay
from benchmarks.report import machine
from benchmarks.trace_files import HELD_OUT, kinds, load, verify
from projections.prior import PRIOR, Prior

HISTORIES: Final = (0, 1, 3, 10, 50)

Scored = Sequence[tuple[str, Mapping[str, Score]]]


def tests(runs: Sequence[Replay], part: str) -> Iterator[tuple[Replay, Sequence[Replay]]]:
    """The runs of a part of a kind's, each with those before it."""
    middle = len(runs) // 2
    chosen = range(middle, len(runs)) if part == "later" else range(middle)
    for at in chosen:
        yield runs[at], runs[:at]


def scores_of(found: Mapping[str, Sequence[Replay]], priors: Mapping[str, Prior], part: str) -> Scored:
    """Every tested run's scores, by estimator, with its kind."""
    scored = []
    for kind, prior in priors.items():
        for tested, before in tests(found[kind], part):
            known = taught(before, prior)
            scored.append(
                (kind, {name: score(tested, method(tested, known, before)) for name, method in METHODS.items()})
            )
    return scored


def table(scored: Scored) -> None:
    print(
        f"  {'':<36}{'error':>8}{'ratio 50%':>11}{'ratio 90%':>11}{'moved':>8}{'jumps':>8}{'null':>8}"
        f"{'p50 held':>10}{'p90 held':>10}{'width':>8}"
    )
    for name in METHODS:
        runs = [scores[name] for _, scores in scored]
        errors = [run.error for run in runs if run.ratios]
        ratios = sorted(ratio for run in runs for ratio in run.ratios)
        said = [error is None for run in runs for error in run.errors]
        halves = [held for run in runs for held in run.halves]
        covered = [held for run in runs for held in run.covered]
        widths = [width for run in runs for width in run.widths]
        line = f"  {name:<36}{statistics.mean(errors):>8.3f}" if errors else f"  {name:<36}{'-':>8}"
        line += f"{exp(ratios[len(ratios) // 2]):>11.2f}{exp(ratios[len(ratios) * 9 // 10]):>11.2f}" if ratios else ""
        line += f"{statistics.mean(run.moved for run in runs):>8.2f}{statistics.mean(run.jumps for run in runs):>8.2f}"
        line += f"{statistics.mean(said):>8.1%}"
        if covered:
            line += f"{statistics.mean(halves):>10.3f}{statistics.mean(covered):>10.3f}{statistics.mean(widths):>8.3f}"
        print(line)


def rivals(scored: Scored) -> None:
    """Ours less each rival with learned weights, run by run where both say something."""
    for name in RIVALS:
        pairs = [common(scores, OURS, name) for _, scores in scored]
        differences = [one - other for one, other in (pair for pair in pairs if pair is not None)]
        mean, low, high = interval(differences)
        print(f"  {name:<36}{mean:>+8.3f}  ({low:+.3f} to {high:+.3f}, {len(differences)} runs)")


def by_decile(scored: Scored) -> None:
    best = min(RIVALS, key=lambda name: statistics.mean(s[name].error for _, s in scored if s[name].ratios))
    print(f"  {'time':<8}{'streamproc':>12}{best:>32}{'p90 held':>10}")
    for decile in range(10):
        line = f"  {decile * 10:>3} %   "
        for name in (OURS, best):
            picked = [
                error
                for _, scores in scored
                for at, error in enumerate(scores[name].errors)
                if error is not None and at * 10 // len(scores[name].errors) == decile
            ]
            width = 12 if name == OURS else 32
            line += f"{statistics.mean(picked):>{width}.3f}" if picked else f"{'-':>{width}}"
        held = [
            is_held
            for _, scores in scored
            for at, is_held in enumerate(scores[OURS].covered)
            if at * 10 // max(1, len(scores[OURS].covered)) == decile
        ]
        print(line + (f"{statistics.mean(held):>10.2f}" if held else ""))


def by_history(found: Mapping[str, Sequence[Replay]], priors: Mapping[str, Prior]) -> None:
    """The same later runs, estimated by so many runs before them."""
    print(f"  {'runs before':<14}{'streamproc':>12}{'best of the others':>20}{'p90 held':>10}")
    for most in HISTORIES:
        errors: dict[str, list[float]] = {name: [] for name in (OURS, *RIVALS)}
        held: list[bool] = []
        for kind, prior in priors.items():
            for tested, before in tests(found[kind], "later"):
                history = before[max(0, len(before) - most) :]
                known = taught(history, prior)
                for name, into in errors.items():
                    scored = score(tested, METHODS[name](tested, known, history))
                    if scored.ratios:
                        into.append(scored.error)
                    if name == OURS:
                        held += scored.covered
        best = min(statistics.mean(errors[name]) for name in RIVALS if errors[name])
        print(f"  {most:<14}{statistics.mean(errors['streamproc']):>12.3f}{best:>20.3f}{statistics.mean(held):>10.3f}")


def ablations(found: Mapping[str, Sequence[Replay]], priors: Mapping[str, Prior]) -> None:
    for label, (of, calm, silence) in ABLATIONS.items():
        scored = [
            score(tested, ours(tested, taught(before, prior, of), before, calm=calm, silence=silence))
            for kind, prior in priors.items()
            for tested, before in tests(found[kind], "later")
        ]
        held = [is_held for each in scored for is_held in each.covered]
        widths = [width for each in scored for width in each.widths]
        error = statistics.mean(each.error for each in scored if each.ratios)
        moved = statistics.mean(each.moved for each in scored)
        print(f"  {label:<36}{error:>8.3f}{moved:>8.2f}{statistics.mean(held):>10.3f}{statistics.mean(widths):>8.3f}")


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


def read(names: Sequence[str]) -> dict[str, list[Replay]]:
    verify()
    found = {kind: [done for run in load(kind) if (done := replay(run)) is not None] for kind in names}
    return {kind: runs for kind, runs in found.items() if runs}


def main(options: Any) -> None:
    found = read([kind for kind in kinds() if not (options.tune and kind in HELD_OUT)])
    training = {kind: runs for kind, runs in found.items() if kind not in HELD_OUT}
    parts = {
        "kinds kept out of all tuning": {kind: PRIOR for kind in found if kind in HELD_OUT},
        "the other kinds": {kind: fit([runs for of, runs in training.items() if of != kind]) for kind in training},
    }
    for name, value in machine("none").items():
        print(f"  {name}: {value}")
    for kind, runs in found.items():
        seconds = sorted(run.seconds for run in runs)
        print(f"  {kind}{' (held out)' if kind in HELD_OUT else ''}: {len(runs)} finished runs of {seconds[0]:.1f} to "
              f"{seconds[-1]:.1f} s")  # fmt: skip
    for title, priors in parts.items():
        if priors:
            report(title, found, priors, options.part, quick=options.quick)
    print("\ncost")
    cost(found)
    if options.plot:
        plot(found, sorted(found, key=lambda kind: (kind not in HELD_OUT, kind)), options.plot)


def report(
    title: str, found: Mapping[str, Sequence[Replay]], priors: Mapping[str, Prior], part: str, *, quick: bool
) -> None:
    scored = scores_of(found, priors, part)
    print(f"\n{title}: {len(scored)} runs, {part} half")
    table(scored)
    print("\n  streamproc's error less that of (below 0: streamproc is better), 95 % interval")
    rivals(scored)
    print("\n  by time, in tenths of the run")
    by_decile(scored)
    if quick:
        return
    print("\n  by length of history")
    by_history(found, priors)
    print("\n  ablations: error, moved, p90 held, width")
    ablations(found, priors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", choices=["later", "earlier"], default="later", help="which half of the runs is tested"
    )
    parser.add_argument("--plot", type=File, help="a PNG of true and estimated remaining time")
    parser.add_argument("--tune", action="store_true", help="leave the kinds unread that are kept out of all tuning")
    parser.add_argument("--quick", action="store_true", help="without lengths of history and ablations")
    main(parser.parse_args())
