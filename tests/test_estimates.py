"""What estimates make of silences, of odd runs and of runs that are alike, and which instants are shown."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fit_prior
from benchmarks.trace_files import HELD_OUT
from benchmarks.trace_files import Run as Trace
from projections.estimate import Estimate, Facts, Total, estimate
from projections.kinds import Kind, weighted_quantile
from projections.paths import Path, Run, StagePath
from projections.prior import POINTS, PRIOR
from projections.serving import Shown, steady
from streamproc.projection import rfc3339

START = 1_763_750_000_000


def run(seconds: float) -> Run:
    """A run of even progress over 100 items."""
    ms = round(1000 * seconds)
    return Run("finished", ms, 0, 0, [StagePath("", 0, ms, 100, [ms * tenth // 10 for tenth in range(1, 10)])], 100)


def taught(*seconds: float) -> Kind:
    kind = Kind()
    for each in seconds:
        kind.learn(run(each))
    return kind


def left(kind: Kind | None, percent: float, reported: float, now: float, items: int = 100) -> tuple[float, float]:
    """p50 and p90, in seconds, of a job of even progress that last reported so many seconds after its start."""
    ms = round(1000 * reported)
    tenths = [round(ms * 10 * tenth / percent) for tenth in range(1, int(percent / 10) + 1)]
    path = Path(started=START, stages=[StagePath("", 0, None, items, tenths, (ms // 100, percent / 100))])
    facts = Facts("running", percent, items=Total(items), progressed_at=rfc3339(START + ms))
    found = estimate(facts, path, kind, START + round(1000 * now))
    assert found.p50 is not None
    assert found.p90 is not None
    return found.p50 / 1000, found.p90 / 1000


def test_runs_that_are_alike_make_a_narrow_interval() -> None:
    wide, narrow = left(None, 50, 50, 50), left(taught(*[100, 98, 103] * 10), 50, 50, 50)
    assert narrow[0] == pytest.approx(50, rel=0.1)
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])


def test_a_silence_no_longer_than_a_step_takes_the_remaining_time_down() -> None:
    kind = taught(*[100] * 20)
    assert left(kind, 50, 50, 54, items=10)[0] == pytest.approx(left(kind, 50, 50, 50, items=10)[0] - 4, abs=0.5)


def test_the_longer_a_silence_beyond_a_step_the_more_may_remain() -> None:
    found = [left(taught(*[100] * 20), 97, 97, 97 + silent) for silent in (10, 30, 100, 300, 10_000)]
    assert all(before[1] < after[1] for before, after in pairwise(found))


def test_a_job_that_says_nothing_has_the_more_left_the_longer_it_outlasts_its_kind() -> None:
    facts, path, kind = Facts("running"), Path(started=START), taught(*[100, 80, 120] * 5)
    found = [estimate(facts, path, kind, START + round(1000 * at)) for at in (0, 50, 200, 1000, 100_000)]
    assert found[0].p50 == pytest.approx(100_000, rel=0.3)
    assert found[1].p50 == pytest.approx(50_000, rel=0.4)
    assert all(each.p50 is not None and each.p50 > 0 for each in found)
    assert found[2].p90 < found[3].p90 < found[4].p90  # type: ignore[operator]


def test_one_odd_run_does_not_spoil_its_kind() -> None:
    usual, kind = left(taught(*[100] * 6), 50, 50, 50), taught(*[100] * 3)
    kind.learn(Run("finished", 10**9, 0, 0, [StagePath("", 0, 10**9, 100, [*range(10_000, 90_001, 10_000)])], 100))
    for _ in range(2):
        kind.learn(run(100))
    odd = left(kind, 50, 50, 50)
    assert odd[0] < 3 * usual[0]
    assert odd[1] < 10_000


def test_the_prior_could_be_the_moments_of_errors() -> None:
    assert len(PRIOR.moments) == len(POINTS)
    for _, _, _, h, r, n, hr, hn, rn in PRIOR.moments:
        assert hr * hr < h * r
        assert hn * hn < h * n
        assert rn * rn < r * n
        assert h * r * n + 2 * hr * hn * rn > h * rn * rn + r * hn * hn + n * hr * hr
    assert list(PRIOR.errors) == sorted(PRIOR.errors)


def test_the_prior_is_fitted_without_the_kinds_kept_out_of_all_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def load(kind: str) -> list[Trace]:
        read.append(kind)
        return []

    monkeypatch.setattr(fit_prior, "load", load)
    fit_prior.training()
    assert read
    assert not HELD_OUT & set(read)


ERRORS = st.tuples(st.floats(-3, 3), st.floats(0.001, 1))


@given(st.lists(ERRORS, min_size=1), st.floats(0.01, 0.99))
def test_a_weighted_quantile_is_one_of_its_values_or_between_them(found: list[tuple[float, float]], q: float) -> None:
    found.sort()
    value = weighted_quantile(found, q)
    assert found[0][0] <= value <= found[-1][0]
    below = sum(weight for error, weight in found if error < value)
    above = sum(weight for error, weight in found if error > value)
    whole = sum(weight for _, weight in found)
    assert below <= q * whole + max(weight for _, weight in found)
    assert above <= (1 - q) * whole + max(weight for _, weight in found)


# Which instants are shown --------------------------------------------------------------------------------------------

SHOWN = Shown(START + 100_000, START + 200_000)


def test_instants_stay_while_they_are_about_right() -> None:
    assert steady(Estimate(102_000, 198_000), START, SHOWN) == SHOWN
    assert steady(Estimate(104_900, 209_000), START, SHOWN) == SHOWN


def test_an_end_that_is_later_is_shown_no_later_than_it_must_be() -> None:
    found = steady(Estimate(300_000, 400_000), START, SHOWN)
    assert found is not None
    assert SHOWN.p50 < found.p50 < START + 300_000
    assert found.p90 == START + 380_000
    assert steady(Estimate(300_000, 400_000), START, found) == found


def test_a_p50_that_is_much_earlier_is_shown_as_it_is_and_a_p90_with_care() -> None:
    found = steady(Estimate(20_000, 40_000), START, SHOWN)
    assert found is not None
    assert found.p50 == START + 20_000
    assert START + 40_000 < found.p90 < START + 60_000


REMAINING = st.tuples(st.floats(0, 1e13), st.floats(0, 1e13)).map(sorted)


@given(REMAINING, REMAINING, st.integers(0, 10**13))
def test_what_is_shown_is_in_order_and_not_over(fresh: list[float], old: list[float], passed: int) -> None:
    now = START + passed
    found = steady(Estimate(fresh[0], fresh[1]), now, Shown(START + old[0], START + old[1]))
    assert found is not None
    assert found.p50 <= found.p90
    assert math.isfinite(found.p90)
    assert found.p50 >= now
    again = steady(Estimate(fresh[0], fresh[1]), now, found)
    assert again is not None
    assert again.p50 == pytest.approx(found.p50)
