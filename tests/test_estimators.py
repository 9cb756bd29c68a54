"""The ported estimator gives what its project's own tests want; the real libraries run on the virtual clock."""

import pytest

from benchmarks.estimators import Bar, DoubleExponential, Linear, Rich, Tqdm


@pytest.mark.parametrize("rate", [1, 1_000, 1_000_000, 1_000_000_000, 100_000_000_000, 1_000_000_000_000_000])
def test_a_steady_rate_is_found(rate: int) -> None:
    bar = DoubleExponential(0.0)
    for second in range(1, 21):
        bar.record(second, rate * second)
    assert bar.rate(20.0) == pytest.approx(rate, rel=1e-9)


def test_old_data_weighs_a_tenth_after_fifteen_seconds() -> None:
    bar = DoubleExponential(0.0)
    for second in range(1, 16):
        bar.record(second, second)
    single = 0.09 / 0.99
    assert bar.rate(30.0) == pytest.approx((0.9 * single + 0.09) / 0.99)


def test_going_back_begins_anew() -> None:
    bar = DoubleExponential(0.0)
    bar.record(1.0, 1)
    bar.record(2.0, 0)
    bar.record(3.0, 1)
    assert bar.rate(3.0) == pytest.approx(1.0)


def test_a_reset_forgets_the_rate_before() -> None:
    bar = DoubleExponential(0.0)
    bar.record(1.0, 2)
    bar.reset(1.0)
    bar.record(2.0, 3)
    assert bar.rate(2.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "bar", [Linear(100.0), Tqdm(100.0, 0.3), Tqdm(100.0, 0), Rich(100.0), DoubleExponential(100.0)]
)
def test_every_bar_finds_what_remains_of_a_steady_job(bar: Bar) -> None:
    assert bar.remaining(100.0) is None
    for second in range(1, 41):
        bar.update(100.0 + second, second / 100)
    assert bar.remaining(140.0) == pytest.approx(60.0, rel=0.02)
