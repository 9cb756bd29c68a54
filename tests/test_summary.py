"""What the runs of a kind come to: durations, failures, stages, waits, and how well they would have been foretold."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from projections import ESTIMATOR
from projections.paths import Run, StagePath

START = 1_763_750_000_000


def run(
    seconds: float, outcome: str = "finished", *, waited: float = 0, stages: Sequence[StagePath] | None = None
) -> Run:
    """A run at an even pace, of one stage without a name unless there are others."""
    duration = round(1000 * seconds)
    if stages is None:
        stages = [StagePath("", 0, duration, 100, [duration * tenth // 10 for tenth in range(1, 10)])]
    return Run(outcome, duration, round(1000 * waited), 100, list(stages))


def summed(runs: Sequence[Run]) -> Any:
    """The details of runs that ended a minute after one another."""
    encoded = [(START + 60_000 * number, msgspec.json.encode(each)) for number, each in enumerate(runs)]
    details = msgspec.to_builtins(ESTIMATOR.details(encoded))
    assert msgspec.to_builtins(ESTIMATOR.summary(encoded)).items() <= details.items()
    return details


def test_durations_are_of_runs_that_finished_and_failures_of_those_that_were_not_canceled() -> None:
    found = summed([run(1), run(2), run(3), run(100, "failed"), run(200, "canceled"), run(11)])
    assert (found["runs"], found["finished"]) == (6, 4)
    assert found["duration_seconds"] == {"p50": 2.5, "p90": 8.6}
    assert found["failure_rate"] == 0.2
    assert found["last_ended_at"] == "2025-11-21T18:38:20.000Z"


def test_without_runs_nothing_is_known() -> None:
    assert summed([]) == {
        "runs": 0,
        "finished": 0,
        "duration_seconds": None,
        "silent_seconds": None,
        "failure_rate": None,
        "last_ended_at": None,
        "waited_seconds": None,
        "stages": [],
        "latest": [],
        "calibration": {"predictions": 0, "p50_held": None, "p90_held": None},
    }


@pytest.mark.parametrize(("outcome", "rate"), [("failed", 1.0), ("canceled", None)])
def test_a_kind_none_of_whose_runs_finished_has_no_duration(outcome: str, rate: float | None) -> None:
    found = summed([run(1, outcome), run(2, outcome)])
    assert (found["runs"], found["duration_seconds"], found["failure_rate"]) == (2, None, rate)
    assert found["calibration"]["predictions"] == 0


def test_the_latest_runs_come_first() -> None:
    found = summed([run(1), run(2.5, "failed")])
    assert found["latest"] == [
        {"ended_at": "2025-11-21T18:34:20.000Z", "outcome": "failed", "duration_seconds": 2.5},
        {"ended_at": "2025-11-21T18:33:20.000Z", "outcome": "finished", "duration_seconds": 1.0},
    ]


def test_waits_are_of_all_runs() -> None:
    found = summed([run(1, waited=2), run(1, "failed", waited=4), run(1, waited=0)])
    assert found["waited_seconds"] == {"p50": 2.0, "p90": 3.6}


def test_silences_are_of_all_runs() -> None:
    gaps = (Run(outcome, 5000, 0, gap, []) for outcome, gap in (("finished", 100), ("failed", 300), ("canceled", 200)))
    assert summed([*gaps])["silent_seconds"] == {"p50": 0.2, "p90": 0.28}


def test_stages_are_told_in_the_order_of_the_latest_run_with_how_often_they_were_skipped() -> None:
    old = [StagePath("Read", 0, 1000), StagePath("Check", 1000, 3000, outcome="finished")]
    new = [StagePath("Check", 0, 4000), StagePath("Read", 4000, 4000, outcome="skipped"), StagePath("Send", 4000, 9000)]
    failed = [StagePath("Only here", 0, 1000, outcome="failed")]
    found = summed([run(3, stages=old), run(9, stages=new), run(1, "failed", stages=failed)])
    assert found["stages"] == [
        {"name": "Check", "runs": 2, "duration_seconds": {"p50": 3.0, "p90": 3.8}, "skipped": 0.0},
        {"name": "Read", "runs": 2, "duration_seconds": {"p50": 1.0, "p90": 1.0}, "skipped": 0.5},
        {"name": "Send", "runs": 1, "duration_seconds": {"p50": 5.0, "p90": 5.0}, "skipped": 0.0},
    ]


def test_no_more_than_200_stages_are_told() -> None:
    many = [[StagePath(f"{number}-{at}", 0, 1) for at in range(150)] for number in range(2)]
    assert len(summed([run(1, stages=stages) for stages in many])["stages"]) == 200


def even_stages(unit: int) -> list[StagePath]:
    """Three stages of so many ms, and twice and thrice as many."""
    stages, clock = [], 0
    for at, name in enumerate(("A", "B", "C"), 1):
        tenths = [clock + at * unit * tenth // 10 for tenth in range(1, 10)]
        stages.append(StagePath(name, clock, clock + at * unit, 10, tenths, outcome="finished"))
        clock += at * unit
    return stages


@pytest.mark.parametrize("staged", [False, True])
def test_calibration_tells_how_often_estimates_held(staged: bool) -> None:
    draw = random.Random(7)
    seconds = [round(60 * draw.lognormvariate(0, 0.2), 3) for _ in range(40)]
    runs = [run(each, stages=even_stages(round(each * 1000 / 6)) if staged else None) for each in seconds]
    found = summed(runs)["calibration"]
    assert found["predictions"] == 9 * 39
    assert 0.3 < found["p50_held"] < 0.7
    assert 0.8 < found["p90_held"] <= 1.0


def test_estimates_did_not_hold_where_every_run_took_ten_times_as_long_as_the_one_before() -> None:
    """And never said how far it was, so that its past was all there was to go by."""
    silent = [run(10**power, stages=[StagePath("Wait", 0, 1000 * 10**power)]) for power in range(6)]
    found = summed(silent)["calibration"]
    assert found["predictions"] > 0
    assert found["p90_held"] < 0.9


def test_of_runs_with_very_many_stages_only_the_newest_are_foretold() -> None:
    stages = [StagePath(str(at), at, at + 1, outcome="finished") for at in range(200)]
    assert summed([run(0.2, stages=stages)] * 20)["calibration"]["predictions"] == 9 * 15


def test_a_run_is_not_foretold_by_itself() -> None:
    assert summed([run(5)])["calibration"]["predictions"] == 0
    assert summed([run(5), run(5)])["calibration"]["predictions"] == 9
