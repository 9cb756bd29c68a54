"""What each event of a unit or a counter does, and how they make the job's percent."""

from typing import Any

import pytest

from tests.support.reports import Reports, at

LARGEST = 2**53 - 1


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def counts(**of: int) -> dict[str, int]:
    return {"total": sum(of.values()), "pending": 0, "running": 0, "finished": 0, "failed": 0} | of


# One unit


def test_a_unit_goes_through_its_states(job: Reports) -> None:
    unit = {"unit": "u", "status": "pending", "percent": 0.0, "weight": 4, "stage": None, "attempt": 1, "message": None,
            "worker": None, "started_at": None, "finished_at": None, "error": None, "counts": None}  # fmt: skip
    assert job("unit.added", unit="u", weight=4)["units"] == counts(pending=1)
    assert job.units["u"] == unit
    assert job("unit.started", unit="u", worker="w")["units"] == counts(running=1)
    unit |= {"status": "running", "worker": "w", "started_at": at(1)}
    assert job.units["u"] == unit
    job("unit.progressed", unit="u", percent=33.333, message="a third")
    unit |= {"percent": 33.33, "message": "a third"}
    assert job.units["u"] == unit
    assert job("unit.finished", unit="u")["units"] == counts(finished=1)
    assert job.units["u"] == unit | {"status": "finished", "percent": 100.0, "finished_at": at(3)}


def test_a_failed_unit_counts_as_nothing_and_tells_its_error(job: Reports) -> None:
    job("unit.progressed", unit="u", percent=60)
    failed = job("unit.failed", unit="u", error={"type": "E"})
    assert (failed["units"], failed["percent"], failed["status"]) == (counts(failed=1), 0.0, "running")
    assert (job.units["u"]["percent"], job.units["u"]["error"]) == (0.0, {"type": "E", "detail": None})


@pytest.mark.parametrize("ending", ["unit.finished", "unit.failed"])
def test_what_comes_after_a_unit_is_final_is_late(job: Reports, ending: str) -> None:
    job("unit.added", unit="v")
    job(ending, unit="u", weight=2)
    before, unit = job.now, job.units["u"]
    for late in ("unit.progressed", "unit.failed", "unit.added", "unit.finished"):
        after = job(late, unit="u", percent=5, weight=9, stage="a", message="m", attempt=1)
    assert job.marks[2:] == ["late"] * 4
    assert job.units["u"] == unit
    assert {k for k in after if after[k] != before[k]} == {"events", "position"}


def test_a_higher_attempt_of_a_unit_starts_it_again_and_a_lower_one_is_ignored(job: Reports) -> None:
    job("unit.failed", unit="u", weight=3, error={"type": "E"}, message="m")
    job("unit.finished", unit="v", weight=1)
    again = job("unit.progressed", unit="u", attempt=4, percent=50)
    assert (again["units"], again["percent"]) == (counts(running=1, finished=1), 62.5)
    unit = job.units["u"]
    assert [unit[key] for key in ("attempt", "weight", "started_at", "finished_at", "error", "message")] == [
        4, 3, at(2), None, None, None
    ]  # fmt: skip
    job("unit.finished", unit="u", attempt=3)
    assert (job.marks[-1], job.units["u"]) == ("superseded", unit)
    assert job("unit.finished", unit="u", attempt=4)["percent"] == 100.0


def test_a_unit_added_again_by_a_higher_attempt_is_pending(job: Reports) -> None:
    job("unit.finished", unit="u")
    again = job("unit.added", unit="u", attempt=2)
    assert (again["units"], again["percent"], job.units["u"]["percent"]) == (counts(pending=1), 0.0, 0.0)


@pytest.mark.parametrize(
    ("report", "percent"),
    [
        ({"percent": 250}, 100.0),
        ({"percent": -1}, 0.0),
        ({"done": 1, "total": 3}, 33.33),
        ({"done": 5, "total": 4}, 100.0),
        ({"done": 5, "total": 0}, 0.0),
        ({"done": LARGEST, "total": 5e-324}, 100.0),
        ({"done": 5}, 50.0),
        ({}, 50.0),
    ],
)
def test_a_units_percent_is_what_it_last_said(job: Reports, report: dict[str, Any], percent: float) -> None:
    job("unit.progressed", unit="u", percent=50)
    assert job("unit.progressed", unit="u", **report)["percent"] == percent
    assert job.units["u"]["percent"] == percent


def test_units_are_ranked_in_the_order_in_which_they_joined(job: Reports) -> None:
    for unit in ("c", "a", "b", "a"):
        job("unit.progressed", unit=unit)
    job("job.counted", indicator="i", unit="never a member")
    assert job.ranks == ["c", "a", "b"]
    assert sorted(job.zsets[job.keys.ranks("j")].values()) == [1, 2, 3]
    job("job.started", attempt=2)
    assert job.ranks == []
    job("unit.added", unit="b")
    assert job.ranks == ["b"]


# All units


def test_units_without_weights_weigh_the_same(job: Reports) -> None:
    job("unit.finished", unit="u")
    job("unit.progressed", unit="v", percent=50)
    job("unit.added", unit="w")
    assert job.now["percent"] == 50.0


def test_where_any_unit_has_a_weight_the_others_weigh_nothing(job: Reports) -> None:
    job("unit.finished", unit="without")
    job("unit.progressed", unit="v", percent=50)
    assert job("unit.added", unit="w", weight=3)["percent"] == 0.0
    assert job("unit.progressed", unit="v", weight=1)["percent"] == 12.5
    assert job("unit.finished", unit="w")["percent"] == 87.5


def test_where_all_weights_are_zero_nothing_is_done(job: Reports) -> None:
    assert job("unit.progressed", unit="u", weight=0, percent=50)["percent"] == 0.0


def test_units_outweigh_indicators_and_reports(job: Reports) -> None:
    job("job.progressed", percent=90)
    assert job("job.counted", indicator="i", done=1, total=5)["percent"] == 20.0
    assert job("unit.progressed", unit="u", percent=50)["percent"] == 50.0


def test_a_unit_moves_from_stage_to_stage_with_its_weight(job: Reports) -> None:
    job("unit.progressed", unit="u", stage="a", weight=1, percent=50)
    job("unit.progressed", unit="v", stage="a", weight=3, percent=10)
    assert job.stages["a"]["percent"] == 20.0
    job("unit.progressed", unit="u", stage="b", weight=9)
    assert (job.stages["a"]["percent"], job.stages["b"]["percent"], job.now["percent"]) == (10.0, 50.0, 30.0)


def test_the_greatest_weights_give_a_percent(job: Reports) -> None:
    for unit, percent in (("u", 100), ("v", 0), ("w", 50)):
        job("unit.progressed", unit=unit, weight=LARGEST, percent=percent)
    assert job.now["percent"] == 50.0


def test_a_job_with_units_that_are_all_known_stays_so_in_a_new_attempt(job: Reports) -> None:
    for attempt in (1, 2, 3):
        job("job.started", attempt=attempt)
        assert job("unit.added", unit="u", weight=attempt)["units"] == counts(pending=1)
        job("job.counted", indicator="i", unit="u", done=1, total=2)
        assert job("unit.finished", unit="u")["units"] == counts(finished=1)
        assert job.counters == {"i": (1, 2)}
        assert (job.units["u"]["weight"], job.ranks) == (attempt, ["u"])


# Counters


def test_counters_add_up_over_units_and_without_any(job: Reports) -> None:
    assert job("job.counted", indicator="i")["percent"] == 0.0
    job("job.counted", indicator="i", total=10)
    job("job.counted", indicator="i", done=2)
    job("job.counted", indicator="i", done=1, unit="u")
    assert job("job.counted", indicator="k", done=0.5, total=0)["percent"] == 35.0
    assert job.now["indicators"] == [{"label": "i", "done": 3, "total": 10}, {"label": "k", "done": 0.5, "total": 0}]
    assert job("job.counted", indicator="k", done=90)["percent"] == 100.0


def test_a_contributor_is_no_member_until_it_reports(job: Reports) -> None:
    job("job.counted", indicator="i", done=1, total=4, unit="u")
    assert (job.now["units"], job.now["percent"], job.ranks) == (counts(), 25.0, [])
    job("unit.progressed", unit="u", percent=50)
    assert (job.now["units"], job.now["percent"], job.ranks) == (counts(running=1), 50.0, ["u"])
    assert job.units["u"]["counts"] == {"i": [1, 4]}


@pytest.mark.parametrize("retry", ["job.counted", "unit.started"])
def test_a_higher_attempt_takes_back_what_the_unit_counted_and_nothing_else(job: Reports, retry: str) -> None:
    job("job.counted", indicator="i", done=3, total=10, unit="u")
    job("job.counted", indicator="i", done=2, unit="u", attempt=1)
    job("job.counted", indicator="k", done=1, unit="u")
    job("job.counted", indicator="i", done=4, total=4, unit="v")
    job("job.counted", indicator="i", done=1)
    job(retry, unit="u", indicator="k", attempt=2)
    assert job.counters == {"i": (5, 4), "k": (0, 0)}
    job("job.counted", indicator="i", done=9, unit="u", attempt=1)
    assert (job.counters["i"], job.marks[-1]) == ((5, 4), "superseded")
    job("job.counted", indicator="i", done=7, unit="u")
    assert job.counters["i"] == (12, 4)
    job(retry, unit="u", indicator="k", attempt=3)
    assert job.counters == {"i": (5, 4), "k": (0, 0)}


def test_counting_in_a_higher_attempt_starts_a_finished_unit_again(job: Reports) -> None:
    job("unit.finished", unit="u")
    assert job("job.counted", indicator="i", unit="u", attempt=2)["units"] == counts(pending=1)


def test_counters_stay_within_the_largest_number_and_never_fall_below_zero(job: Reports) -> None:
    for unit in ("u", "v"):
        job("job.counted", indicator="i", done=LARGEST, total=LARGEST, unit=unit)
    assert job.counters["i"] == (LARGEST, LARGEST)
    for unit in ("u", "v"):
        job("unit.started", unit=unit, attempt=2)
    assert job.counters["i"] == (0, 0)


def test_fractions_that_are_taken_back_never_fall_below_zero(job: Reports) -> None:
    for unit, done in (("u", 0.3), ("v", 0.6), ("w", 0.1)):
        job("job.counted", indicator="i", done=done, unit=unit)
    for unit in ("v", "u", "w"):
        job("unit.started", unit=unit, attempt=2)
    assert 0 <= job.counters["i"][0] < 1e-9


def test_a_counter_beyond_the_thousandth_is_over_the_limit(job: Reports) -> None:
    job.report([{"type": "job.counted", "indicator": f"i{number}", "done": 1} for number in range(1000)])
    before = job.now
    after = job("job.counted", indicator="one more", done=1, unit="u", attempt=2)
    assert (after["indicators"], job.marks[-1], job.units) == (before["indicators"], "over_limit", {})
    job("job.counted", indicator="i7", done=1)
    assert job.counters["i7"] == (2, 0)


# What the job reports itself


@pytest.mark.parametrize(
    ("report", "percent", "items"),
    [
        ({"percent": 41.256}, 41.26, None),
        ({"percent": 1e308}, 100.0, None),
        ({"percent": -0.0}, 0.0, None),
        ({"done": 1, "total": 3}, 33.33, (1, 3)),
        ({"done": 5, "total": 4}, 100.0, (5, 4)),
        ({"done": 5, "total": 0}, 0.0, (5, 0)),
        ({"done": LARGEST, "total": LARGEST}, 100.0, (LARGEST, LARGEST)),
        ({"done": LARGEST, "total": 5e-324}, 100.0, (LARGEST, 5e-324)),
        ({"percent": 7, "done": 1, "total": 2}, 7.0, (1, 2)),
        ({"done": 30}, 50.0, (30, 60)),
        ({"total": 120}, 25.0, (30, 120)),
        ({}, None, None),
    ],
)
def test_the_last_report_of_the_job(
    job: Reports, report: dict[str, Any], percent: float | None, items: tuple[float, float] | None
) -> None:
    assert job("job.progressed", done=30, total=60)["percent"] == 50.0
    now = job("job.progressed", **report)
    assert now["percent"] == percent
    assert now["items"] == (items and {"done": items[0], "total": items[1]})


def test_done_of_an_unknown_total_is_indeterminate(job: Reports) -> None:
    now = job("job.progressed", done=5)
    assert (now["percent"], now["items"]) == (None, {"done": 5, "total": None})
    assert job("job.progressed", total=10)["percent"] == 50.0


# What it costs


def written_for_one_more(unit_count: int, source_count: int, event: dict[str, Any]) -> int:
    job = Reports()
    job.report([{"type": "unit.progressed", "unit": f"u{n:05}", "percent": 50} for n in range(unit_count)])
    job.report([{"type": "job.noted", "src": f"s{n:05}", "seq": 1} for n in range(source_count)])
    job.report([{"type": "job.noted", "job": f"other{n:05}"} for n in range(unit_count)])
    job.forget()
    job.report([event])
    return job.written


@pytest.mark.parametrize(
    "event",
    [
        {"type": "unit.progressed", "unit": "u00003", "percent": 75, "src": "s00002", "seq": 2},
        {"type": "unit.finished", "unit": "u00003"},
        {"type": "unit.added", "unit": "new"},
        {"type": "job.counted", "unit": "u00003", "indicator": "i", "done": 1},
        {"type": "job.progressed", "src": "new", "seq": 2},
    ],
    ids=lambda event: event["type"],
)
def test_what_an_event_writes_doesnt_depend_on_how_many_units_sources_and_jobs_there_are(event: dict[str, Any]) -> None:
    few = written_for_one_more(10, 10, event)
    many = written_for_one_more(2000, 2000, event)
    assert abs(many - few) < 40  # the digits of the counts


def test_a_source_is_written_only_when_it_said_something_new() -> None:
    job = Reports()
    job("job.noted", src="s" * 250, seq=1)
    job("job.noted")
    without = job.written
    job("job.noted", src="s" * 250, seq=2)
    assert job.written - without > 500  # in the event, and as the source


def test_an_event_of_one_job_writes_nothing_of_another() -> None:
    job = Reports()
    job("unit.progressed", unit="u", percent=10)
    before = {key: dict(value) for key, value in job.hashes.items()}
    job.report([{"type": "unit.progressed", "unit": "u", "job": "other"}])
    assert {key: job.hashes[key] for key in before} == before
