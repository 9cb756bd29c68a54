"""What the runs of a kind come to: how long they took, how they ended, and how well they were foretold."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from projections.estimate import Facts, StageFacts, Total, estimate
from projections.kinds import Kind, Part
from projections.pacing import interpolate, path_points
from projections.paths import Path, Run, StagePath
from streamproc.projection import rfc3339

__all__ = [
    "Calibration",
    "Details",
    "Ended",
    "Quantiles",
    "StageSummary",
    "Summary",
    "details",
    "quantile",
    "quantiles",
    "summary",
]

_MOST_STAGES: Final = 200
_TENTHS: Final = range(1, 10)
_FORETOLD_STAGES: Final = 3000
"""Of so many stages, the newest, it is worked out how well they would have been foretold."""


class Quantiles(Struct, frozen=True):
    """Seconds: a half took at most `p50`, nine in ten at most `p90`."""

    p50: float
    p90: float


class Summary(Struct, frozen=True):
    """What is told of every kind.

    Args:
        runs: how many there are; all else is of these.
        finished: how many of them finished.
        duration_seconds: of those that finished, without pauses and stalls; None where none did.
        silent_seconds: the longest that a run said nothing of its progress; None where there are none.
        failure_rate: of those that finished or failed; None where there are none.
        last_ended_at: when the latest ended, RFC 3339.
    """

    runs: int
    finished: int
    duration_seconds: Quantiles | None
    silent_seconds: Quantiles | None
    failure_rate: float | None
    last_ended_at: str | None


class StageSummary(Struct, frozen=True):
    """A stage in the runs that finished.

    Args:
        runs: how many of them had it, or skipped it.
        duration_seconds: where it wasn't skipped.
        skipped: in what share of `runs` it was.
    """

    name: str
    runs: int
    duration_seconds: Quantiles | None
    skipped: float


class Ended(Struct, frozen=True):
    """A run: when it ended, how, and after how long."""

    ended_at: str
    outcome: str
    duration_seconds: float


class Calibration(Struct, frozen=True):
    """How often an estimate held.

    Each run that finished is estimated at the tenths of its progress by what the runs before it had taught; one holds
    where the run took no longer.

    Args:
        predictions: how many there were.
        p50_held: the share of them in which `p50` did; None where there was none.
        p90_held: likewise.
    """

    predictions: int
    p50_held: float | None
    p90_held: float | None


class Details(Summary, frozen=True):
    """What is told of one kind.

    Args:
        waited_seconds: from a job's creation to its start.
        stages: in the order of the latest runs; at most 200.
        latest: the runs, the newest first.
        calibration: of the estimates.
    """

    waited_seconds: Quantiles | None
    stages: list[StageSummary]
    latest: list[Ended]
    calibration: Calibration


class _Brief(Struct, array_like=True, gc=False):
    """The beginning of a `Run`."""

    outcome: str
    duration: int
    waited: int
    gap: int


_Runs = Sequence[tuple[int, bytes]]
_decode = msgspec.json.Decoder(Run).decode
_decode_brief = msgspec.json.Decoder(_Brief).decode


def summary(runs: _Runs) -> Summary:
    """Sum up the runs of a kind, each with when it ended in ms since 1970, the oldest first."""
    return _summary([(ended, _decode_brief(run)) for ended, run in runs])


def details(runs: _Runs) -> Details:
    """The same, at length."""
    decoded = [(ended, _decode(run)) for ended, run in runs]
    brief = _summary(decoded)
    return Details(
        brief.runs,
        brief.finished,
        brief.duration_seconds,
        brief.silent_seconds,
        brief.failure_rate,
        brief.last_ended_at,
        quantiles(run.waited for _, run in decoded),
        _stages([run for _, run in reversed(decoded)]),
        [Ended(rfc3339(ended), run.outcome, _seconds(run.duration)) for ended, run in reversed(decoded)],
        _calibration([run for _, run in decoded]),
    )


def quantiles(durations: Iterable[float]) -> Quantiles | None:
    """The median and the 90th percentile of durations in ms, in seconds; None where there are none."""
    found = sorted(durations)
    return Quantiles(_seconds(quantile(found, 0.5)), _seconds(quantile(found, 0.9))) if found else None


def quantile(found: Sequence[float], q: float) -> float:
    """A quantile of what is sorted, between its neighbours (R's type 7, as most tools have it)."""
    at = q * (len(found) - 1)
    low = int(at)
    high = min(low + 1, len(found) - 1)
    return found[low] + (at - low) * (found[high] - found[low])


def _seconds(ms: float) -> float:
    return round(ms / 1000, 3)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _summary(runs: Sequence[tuple[int, Run | _Brief]]) -> Summary:
    outcomes = [run.outcome for _, run in runs]
    failed, finished = outcomes.count("failed"), outcomes.count("finished")
    return Summary(
        len(runs),
        finished,
        quantiles(run.duration for _, run in runs if run.outcome == "finished"),
        quantiles(run.gap for _, run in runs),
        _share(failed, failed + finished),
        rfc3339(runs[-1][0]) if runs else None,
    )


def _stages(newest: Iterable[Run]) -> list[StageSummary]:
    """The stages of runs, as the newest run that has one orders it. A job without stages has none."""
    took: dict[str, list[int]] = {}
    skipped: dict[str, int] = {}
    for run in newest:
        if run.outcome != "finished":
            continue
        for stage in run.stages:
            if not stage.name or (stage.name not in took and len(took) == _MOST_STAGES):
                continue
            durations = took.setdefault(stage.name, [])
            if stage.outcome == "skipped":
                skipped[stage.name] = skipped.get(stage.name, 0) + 1
            elif stage.ended is not None:
                durations.append(stage.ended - stage.began)
    return [_stage(name, durations, skipped.get(name, 0)) for name, durations in took.items()]


def _stage(name: str, durations: list[int], skipped: int) -> StageSummary:
    runs = len(durations) + skipped
    return StageSummary(name, runs, quantiles(durations), _share(skipped, runs) or 0.0)


# How well runs would have been foretold ------------------------------------------------------------------------------


def _calibration(runs: Sequence[Run]) -> Calibration:
    kind = Kind()
    predictions = p50 = p90 = 0
    ahead = sum(len(run.stages) for run in runs)
    for number, run in enumerate(runs):
        if number and run.outcome == "finished" and ahead <= _FORETOLD_STAGES:
            for clock in _clocks(run, kind):
                found = estimate(*_as_it_was(run, clock), kind, clock)
                if found.p50 is not None and found.p90 is not None:
                    left = run.duration - clock
                    predictions += 1
                    p50 += left <= found.p50
                    p90 += left <= found.p90
        kind.learn(run)
        ahead -= len(run.stages)
    return Calibration(predictions, _share(p50, predictions), _share(p90, predictions))


def _clocks(run: Run, kind: Kind) -> list[int]:
    """When a run had reached the tenths of its progress, by what its stages weigh."""
    parts = [Part(stage.name, 1.0, stage.size or run.size) for stage in run.stages if stage.outcome != "skipped"]
    if not parts:
        return []
    points = path_points(run.stages, kind.costs(parts)[0], run.duration)
    return [round(interpolate(points, tenth / 10)) for tenth in _TENTHS]


def _as_it_was(run: Run, clock: int) -> tuple[Facts, Path]:
    """The job of a run as it was seen then. What its stages weighed isn't kept: they weigh the same."""
    begun = [_stage_as_it_was(stage, clock) for stage in run.stages if stage.began <= clock]
    percents = [_percent(stage, clock) for stage in run.stages]
    size = Total(run.size)
    if all(not stage.name for stage in run.stages):
        return Facts("running", percents[0], units=size), Path(started=0, stages=begun)
    statuses = {stage.name: stage.outcome or "running" for stage in begun}
    stages = [
        StageFacts(stage.name, 1.0, statuses.get(stage.name, "pending"), percent)
        for stage, percent in zip(run.stages, percents, strict=True)
        if stage.name
    ]
    return Facts("running", stages=stages, units=size), Path(started=0, stages=begun)


def _stage_as_it_was(stage: StagePath, clock: int) -> StagePath:
    tenths = [reached for reached in stage.tenths if reached <= clock]
    first = stage.first if stage.first is not None and stage.first[0] <= clock else None
    over = stage.ended is not None and stage.ended <= clock
    outcome = (stage.outcome or "finished") if over else None
    return StagePath(stage.name, stage.began, stage.ended if over else None, stage.size, tenths, first, outcome)


def _percent(stage: StagePath, clock: int) -> float | None:
    """How far a stage was, even progress between what is known of it; None where it never said."""
    if not stage.tenths and stage.first is None:
        return None
    reached = [(0.0, float(stage.began))]
    if stage.first is not None and stage.first[1] < 10:
        reached.append((stage.first[1], float(stage.first[0])))
    reached += [(10.0 * (at + 1), float(tenth)) for at, tenth in enumerate(stage.tenths)]
    if stage.ended is not None:
        reached.append((100.0, float(stage.ended)))
    return min(100.0, interpolate(reached, clock))
