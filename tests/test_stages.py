"""What each event of a stage does, and how stages make the job's percent."""

from typing import Any

import pytest

from tests.support.reports import Reports, at


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def declared(*weights: float) -> list[dict[str, Any]]:
    """Stages a, b, c, … of these weights."""
    return [{"name": name, "weight": weight} for name, weight in zip("abcdefgh", weights, strict=False)]


# One stage


def test_a_stage_goes_through_its_states_and_tells_its_times(job: Reports) -> None:
    job("job.queued", stages=declared(1))
    job("stage.started", stage="a")
    running = {"name": "a", "weight": 1, "status": "running", "percent": None, "started_at": at(1),
               "finished_at": None, "duration_seconds": 0.0, "error": None}  # fmt: skip
    assert job.stages["a"] == running
    job("stage.progressed", stage="a", percent=33.333)
    assert job.stages["a"] == running | {"percent": 33.33, "duration_seconds": 1.0}
    job("job.heartbeat")
    job("stage.finished", stage="a")
    ended = {"status": "finished", "percent": 100.0, "finished_at": at(4), "duration_seconds": 3.0}
    assert job.stages["a"] == running | ended
    job("stage.finished", stage="a")
    assert job.stages["a"] == running | ended


def test_a_failed_stage_keeps_its_percent_and_counts_as_nothing(job: Reports) -> None:
    job("job.queued", stages=declared(1, 1))
    job("stage.progressed", stage="a", percent=60)
    failed = job("stage.failed", stage="a", error={"type": "E", "detail": "no"})
    stage = job.stages["a"]
    assert (stage["status"], stage["percent"], stage["error"]) == ("failed", 60.0, {"type": "E", "detail": "no"})
    assert (stage["finished_at"], stage["duration_seconds"]) == (at(2), 1.0)
    assert (failed["percent"], failed["status"]) == (0.0, "running")


def test_a_stage_that_fails_in_the_batch_it_progressed_in_keeps_its_percent(job: Reports) -> None:
    job.report([
        {"type": "stage.progressed", "stage": "a", "percent": 60},
        {"type": "stage.failed", "stage": "a"},
    ])  # fmt: skip
    assert job.stages["a"]["percent"] == 60.0


@pytest.mark.parametrize("ending", ["stage.failed", "stage.finished", "stage.skipped"])
def test_an_ended_stage_can_be_started_again(job: Reports, ending: str) -> None:
    job("stage.progressed", stage="a", percent=60, done=6, total=10)
    job(ending, stage="a", error={"type": "E"})
    again = job("stage.started", stage="a")
    assert (again["current_stage"], again["percent"], again["items"]) == ("a", 0.0, None)
    stage = job.stages["a"]
    assert [stage[key] for key in ("status", "percent", "started_at", "finished_at", "error")] == [
        "running", None, at(2), None, None
    ]  # fmt: skip
    assert stage["duration_seconds"] == 0.0
    assert job("stage.progressed", stage="a", done=1)["items"] == {"done": 1, "total": None}


def test_starting_a_stage_that_runs_changes_nothing(job: Reports) -> None:
    job("stage.progressed", stage="a", percent=60)
    job("stage.started", stage="a")
    assert (job.stages["a"]["percent"], job.stages["a"]["started_at"]) == (60.0, at(0))


@pytest.mark.parametrize("ending", ["stage.failed", "stage.finished", "stage.skipped"])
def test_progress_of_an_ended_stage_is_late_and_changes_nothing(job: Reports, ending: str) -> None:
    job("stage.started", stage="a")
    job(ending, stage="a")
    before = job("job.released")
    after = job("stage.progressed", stage="a", percent=10, weight=7, total_stages=9, message="m")
    assert job.marks[-1] == "late"
    assert {k: v for k, v in after.items() if before[k] != v}.keys() == {"events", "position"}


def test_a_stage_that_is_finished_after_all_has_no_error(job: Reports) -> None:
    job("stage.failed", stage="a", error={"type": "E"})
    job("stage.finished", stage="a")
    assert (job.stages["a"]["status"], job.stages["a"]["error"]) == ("finished", None)


def test_a_stage_that_is_skipped_while_it_runs_ends_there(job: Reports) -> None:
    job("stage.progressed", stage="a", percent=50)
    job("stage.skipped", stage="a")
    stage = job.stages["a"]
    assert (stage["status"], stage["percent"], stage["finished_at"], stage["duration_seconds"]) == (
        "skipped", None, at(1), 1.0
    )  # fmt: skip


def test_how_commits_fall_doesnt_show_in_a_skipped_stage() -> None:
    events = [{"type": "stage.started", "stage": "a"}, {"type": "stage.skipped", "stage": "a"}]
    whole, parts = Reports(), Reports()
    whole.report(events)
    for event in events:
        parts.report([event])
    assert whole.contents() == parts.contents()


def test_a_stage_finished_out_of_the_blue_has_no_beginning(job: Reports) -> None:
    job("stage.finished", stage="a")
    stage = job.stages["a"]
    assert (stage["started_at"], stage["finished_at"], stage["duration_seconds"]) == (None, at(0), None)
    assert job.now["percent"] == 100.0


# Their order


def test_an_undeclared_stage_is_added_where_its_index_says_or_at_the_end(job: Reports) -> None:
    job("job.queued", stages=declared(1, 1))
    job("stage.started", stage="last")
    job("stage.started", stage="second", index=2)
    job("stage.started", stage="first", index=0)
    job("stage.started", stage="far", index=1_000_000)
    job("stage.progressed", stage="a", index=5, percent=1)
    assert list(job.stages) == ["first", "a", "second", "b", "last", "far"]
    assert job.stages["a"]["percent"] == 1.0


def test_declaring_again_orders_and_weighs_and_takes_nothing_back(job: Reports) -> None:
    job("stage.progressed", stage="b", percent=50)
    job("stage.started", stage="x")
    job("job.queued", stages=[*declared(1, 2), {"name": "a", "weight": 5}])
    assert [(name, stage["weight"], stage["percent"]) for name, stage in job.stages.items()] == [
        ("a", 5, 0.0), ("b", 2, 50.0), ("x", 1, None)
    ]  # fmt: skip
    job("stage.progressed", stage="b", percent=60)
    job("stage.finished", stage="x")
    assert job.now["percent"] == 27.5  # (2 * 60 + 1 * 100) / 8


def test_a_stage_is_declared_once_it_was_though_it_was_reported_before(job: Reports) -> None:
    job("stage.started", stage="a")
    job("job.queued", stages=declared(2))
    job("job.started", attempt=2)
    assert [(name, stage["status"]) for name, stage in job.stages.items()] == [("a", "pending")]


def test_the_first_of_the_stages_that_run_is_the_current_one(job: Reports) -> None:
    assert job("job.queued", stages=declared(1, 1, 1))["current_stage"] is None
    assert job("stage.started", stage="c")["current_stage"] == "c"
    assert job("stage.started", stage="b")["current_stage"] == "b"
    assert job("stage.finished", stage="b")["current_stage"] == "c"
    assert job("stage.failed", stage="c")["current_stage"] is None


def test_a_stage_beyond_the_thousandth_is_over_the_limit(job: Reports) -> None:
    job("job.queued", stages=[{"name": f"s{number}"} for number in range(999)])
    before = job("stage.finished", stage="undeclared")
    after = job("stage.finished", stage="one more")
    assert (after["stages"], after["percent"], job.marks) == (before["stages"], 0.1, [None, None, "over_limit"])
    job("unit.progressed", unit="u", stage="one more", percent=50)
    job("job.counted", indicator="i", stage="one more", done=1)
    assert (job.units["u"]["stage"], job.units["u"]["percent"], job.counters["i"]) == (None, 50.0, (1, 0))
    job("job.queued", stages=[{"name": "one more"}, {"name": "s0", "weight": 4}])
    assert len(job.stages) == 1000
    assert next(iter(job.stages)) == "s0"
    assert job.stages["s0"]["weight"] == 4


def test_declaring_ever_more_stages_stops_at_the_limit(job: Reports) -> None:
    for half in "xyz":
        job("job.queued", stages=[{"name": f"{half}{number}"} for number in range(600)])
    assert len(job.stages) == 1000


# What they come to


def test_stages_count_by_their_weights(job: Reports) -> None:
    job("job.queued", stages=declared(2, 1, 5))
    assert job.now["percent"] == 0.0
    assert job("stage.finished", stage="a")["percent"] == 25.0
    assert job("stage.progressed", stage="b", percent=50)["percent"] == 31.25
    assert job("stage.progressed", stage="b", percent=50, weight=3)["percent"] == 35.0
    assert job("stage.skipped", stage="c")["percent"] == 70.0


def test_parallel_stages_add_up(job: Reports) -> None:
    job("job.queued", stages=declared(1, 1))
    job("stage.progressed", stage="a", percent=30)
    assert job("stage.progressed", stage="b", percent=50)["percent"] == 40.0
    assert job("stage.progressed", stage="a", percent=-50)["percent"] == 25.0
    assert job("stage.progressed", stage="a", percent=150)["percent"] == 75.0


def test_stages_outweigh_what_the_job_reports_itself(job: Reports) -> None:
    job("stage.progressed", stage="a", percent=10)
    job("job.counted", indicator="i", done=1, total=1)
    assert job("job.progressed", percent=90, done=9, total=10)["percent"] == 10.0
    assert job.now["items"] == {"done": 9, "total": 10}


def test_stages_that_are_announced_only_by_number_weigh_one_each(job: Reports) -> None:
    job("stage.started", stage="a", total_stages=4, index=1)
    assert job("stage.finished", stage="a")["percent"] == 25.0
    assert job("stage.finished", stage="b")["percent"] == 50.0
    job("stage.finished", stage="a", total_stages=2)
    assert job("job.noted")["percent"] == 100.0
    assert job("stage.finished", stage="c")["percent"] == 100.0


def test_where_all_stages_are_skipped_the_next_rule_applies(job: Reports) -> None:
    job("job.queued", stages=declared(1, 1))
    job("stage.skipped", stage="a")
    assert job("stage.skipped", stage="b")["percent"] is None
    assert job("job.counted", indicator="i", done=1, total=4)["percent"] == 25.0
    assert job("unit.progressed", unit="u", percent=75)["percent"] == 75.0


def test_stages_without_any_weight_leave_it_to_the_next_rule(job: Reports) -> None:
    job("stage.finished", stage="a", weight=0)
    assert job.now["percent"] is None
    assert job("unit.finished", unit="u")["percent"] == 100.0


@pytest.mark.parametrize(
    ("report", "percent"),
    [
        ({"percent": 250}, 100.0),
        ({"percent": -1}, 0.0),
        ({"done": 1, "total": 3}, 33.33),
        ({"done": 5, "total": 4}, 100.0),
        ({"done": 5, "total": 0}, 0.0),
        ({"done": 5}, None),
        ({"percent": 7, "done": 1, "total": 2}, 7.0),
        ({}, None),
    ],
)
def test_a_stages_own_percent(job: Reports, report: dict[str, Any], percent: float | None) -> None:
    job("stage.progressed", stage="a", percent=50)
    assert job("stage.progressed", stage="a", **report)["percent"] == (percent or 0.0)
    assert job.stages["a"]["percent"] == percent


def test_a_stage_remembers_its_total_and_not_that_of_the_one_beside_it(job: Reports) -> None:
    job("stage.started", stage="b")
    job("stage.progressed", stage="a", done=1, total=10)
    job("stage.progressed", stage="b", done=5)
    assert (job.now["items"], job.stages["b"]["percent"]) == ({"done": 5, "total": None}, None)
    job("stage.progressed", stage="a", done=2)
    assert (job.now["items"], job.stages["a"]["percent"]) == ({"done": 2, "total": 10}, 20.0)


def test_a_share_beyond_all_bounds_is_reported_and_remembered_as_100(job: Reports) -> None:
    job("stage.progressed", stage="a", done=2**53 - 1, total=5e-324)
    job("unit.started", unit="u", stage="a")
    assert job.stages["a"]["percent"] == 100.0


def test_a_stage_that_reports_nothing_is_as_far_as_its_units(job: Reports) -> None:
    job("job.queued", stages=declared(1, 1))
    job("unit.added", unit="u", stage="a", weight=3)
    assert job.stages["a"]["status"] == "pending"
    job("unit.added", unit="v", stage="a", weight=1)
    job("unit.finished", unit="u")
    assert (job.stages["a"]["status"], job.stages["a"]["started_at"]) == ("running", at(3))
    assert (job.stages["a"]["percent"], job.now["percent"]) == (75.0, 37.5)
    job("job.counted", indicator="i", stage="a", done=1, total=10)
    assert job.stages["a"]["percent"] == 75.0
    job("stage.progressed", stage="a", percent=10)
    assert job.stages["a"]["percent"] == 10.0


def test_a_stage_without_units_is_as_far_as_the_indicators_that_name_it(job: Reports) -> None:
    job("job.counted", indicator="i", stage="a", total=10)
    job("job.counted", indicator="k", stage="a", done=5, total=10)
    job("job.counted", indicator="other", done=10, total=10)
    assert (job.stages["a"]["percent"], job.now["percent"], job.now["current_stage"]) == (25.0, 25.0, "a")
    job("job.counted", indicator="i", done=10)
    assert job.stages["a"]["percent"] == 75.0
    job("job.counted", indicator="k", stage="b")
    assert (job.stages["a"]["percent"], job.stages["b"]["percent"]) == (100.0, 50.0)


def test_what_named_a_stage_is_forgotten_in_a_new_attempt(job: Reports) -> None:
    job("job.queued", stages=declared(1))
    job("job.counted", indicator="i", stage="a", done=1, total=2)
    job("unit.finished", unit="u", stage="gone", weight=2)
    job("job.started", attempt=2)
    assert list(job.stages) == ["a"]
    job("stage.started", stage="a")
    job("job.counted", indicator="i", done=1, total=1)
    job("unit.progressed", unit="u", percent=50)
    assert (job.stages["a"]["percent"], job.units["u"]["stage"], job.units["u"]["weight"]) == (None, None, None)
