"""What each event of the job itself does to its snapshot."""

import json
from typing import Any

import pytest

from tests.support.reports import Reports, at

ENDINGS = ("finished", "failed")
FINAL = {"job.finished": "finished", "job.failed": "failed", "job.canceled": "canceled"}
KEYS = [
    "job_id", "kind", "title", "status", "percent", "message", "details", "current_stage", "stages", "indicators",
    "items", "units", "worker", "attempt", "labels", "owner", "result", "error", "requested", "stalled", "eta",
    "created_at", "started_at", "resumed_at", "progressed_at", "heard_at", "updated_at", "finished_at",
    "events", "late", "duplicates", "position",
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def told(snapshot: dict[str, Any], *ignored: str) -> dict[str, Any]:
    """What a snapshot says, beside the counts of events and their time."""
    return {key: value for key, value in snapshot.items() if key not in {"events", "position", *ignored}}


# What is served


def test_every_key_is_served_in_its_order_and_null_where_nothing_is_known(job: Reports) -> None:
    snapshot = job("job.noted")
    assert list(snapshot) == KEYS
    known = {
        "job_id": "j", "status": "queued", "stages": [], "indicators": [], "attempt": 1, "labels": {},
        "units": {"total": 0, "pending": 0, "running": 0, "finished": 0, "failed": 0}, "stalled": False,
        "created_at": at(0), "heard_at": at(0), "updated_at": at(0), "events": 1, "late": 0, "duplicates": 0,
        "position": "1763750000000-0",
    }  # fmt: skip
    assert snapshot == dict.fromkeys(KEYS) | known


def test_every_key_of_a_stage_is_served(job: Reports) -> None:
    assert job("job.queued", stages=[{"name": "a"}])["stages"] == [
        {"name": "a", "weight": 1, "status": "pending", "percent": 0.0, "started_at": None, "finished_at": None,
         "duration_seconds": None, "error": None}
    ]  # fmt: skip


def test_the_last_message_details_and_worker_stay(job: Reports) -> None:
    job("job.progressed", message="one", details={"n": 1}, worker="w1")
    job("job.noted", message="two")
    snapshot = job("job.heartbeat", worker="w2", details={"n": {"deep": [1.5, None]}})
    assert (snapshot["message"], snapshot["details"], snapshot["worker"]) == ("two", {"n": {"deep": [1.5, None]}}, "w2")


@pytest.mark.parametrize("result", [None, 0, "", [], {"value": 42, "large": 10**30}], ids=repr)
def test_a_result_is_served_as_it_was_sent(job: Reports, result: Any) -> None:
    assert job("job.finished", result=result)["result"] == result


def test_an_error_has_a_type_and_a_detail(job: Reports) -> None:
    assert job("job.failed", error={"type": "ValueError"})["error"] == {"type": "ValueError", "detail": None}


# Creation and description


@pytest.mark.parametrize(
    "event",
    [{"type": "job.heartbeat"}, {"type": "x"}, {"type": "unit.added", "unit": "u"}, {"type": "job.pause_requested"}],
    ids=lambda event: event["type"],
)
def test_any_event_creates_the_job(job: Reports, event: dict[str, Any]) -> None:
    job.report([event])
    created = [job.now[key] for key in ("status", "created_at", "updated_at", "events")]
    assert created == ["queued", at(0), at(0), 1]


def test_a_queued_event_that_comes_after_the_start_describes_and_takes_nothing_back(job: Reports) -> None:
    job("job.started", kind="import")
    job("job.progressed", percent=40)
    snapshot = job("job.queued", title="Import", labels={"team": "a"}, owner="ann", priority=3, max_attempts=2)
    assert (snapshot["status"], snapshot["percent"], snapshot["started_at"]) == ("running", 40.0, at(0))
    described = [snapshot[key] for key in ("kind", "title", "labels", "owner")]
    assert described == ["import", "Import", {"team": "a"}, "ann"]


def test_params_are_kept_beside_the_snapshot(job: Reports) -> None:
    job("job.queued", params={"path": "/x"})
    job("job.progressed")
    assert job.hashes[job.keys.state("j")]["params"] == b'{"path":"/x"}'


@pytest.mark.parametrize(
    "event",
    [
        {"type": "job.progressed"},
        {"type": "job.counted", "indicator": "i"},
        *(
            {"type": f"stage.{verb}", "stage": "s"}
            for verb in ("started", "progressed", "finished", "failed", "skipped")
        ),
        *({"type": f"unit.{verb}", "unit": "u"} for verb in ("started", "progressed", "finished", "failed")),
    ],
    ids=lambda event: event["type"],
)
@pytest.mark.parametrize("before", ["job.queued", "job.started"])
def test_any_report_of_progress_makes_the_job_run(job: Reports, before: str, event: dict[str, Any]) -> None:
    job(before)
    job.report([event])
    assert job.now["status"] == "running"
    assert job.now["started_at"] == at(0 if before == "job.started" else 1)


@pytest.mark.parametrize("event", ["job.heartbeat", "job.noted", "unit.added", "job.stalled", "job.pause_requested"])
def test_what_is_no_report_of_progress_leaves_the_job_queued(job: Reports, event: str) -> None:
    job("job.queued")
    snapshot = job(event, unit="u")
    assert (snapshot["status"], snapshot["started_at"]) == ("queued", None)


def test_a_paused_job_stays_paused_whatever_is_reported_until_it_resumes(job: Reports) -> None:
    assert job("job.paused")["status"] == "paused"
    assert job("job.progressed", percent=5)["status"] == "paused"
    assert job("job.started")["status"] == "paused"
    assert job("job.resumed")["status"] == "running"


# The end


@pytest.mark.parametrize(("kind", "status"), FINAL.items())
def test_a_final_state_holds_and_counts_what_comes_late(job: Reports, kind: str, status: str) -> None:
    job("job.progressed", percent=40)
    ended = job(kind, result=1, reason="enough", error={"type": "E"})
    assert ended["status"] == status
    assert ended["finished_at"] == ended["updated_at"] == at(1)
    assert ended["percent"] == (100.0 if status == "finished" else 40.0)
    for late in ("job.progressed", "job.finished", "job.cancel_requested", "job.stalled", "job.claimed", "job.queued"):
        after = job(late, percent=1, worker="w", message="m", attempt=1)
    assert told(after, "late") == told(ended, "late")
    assert (after["late"], after["events"]) == (6, 8)
    assert job.marks[2:] == ["late"] * 6


@pytest.mark.parametrize("kind", FINAL)
def test_the_end_clears_the_wish_and_the_stall(job: Reports, kind: str) -> None:
    job("job.cancel_requested")
    job("job.stalled")
    ended = job(kind)
    assert (ended["requested"], ended["stalled"]) == (None, False)


def test_a_canceled_job_tells_the_reason(job: Reports) -> None:
    assert job("job.canceled", reason="no longer needed")["message"] == "no longer needed"


def test_a_stage_that_runs_at_the_end_has_run_until_the_end(job: Reports) -> None:
    job("stage.started", stage="a")
    job("job.heartbeat")
    job.report([{"type": "job.heartbeat"}, {"type": "job.failed"}])
    assert job.stages["a"]["duration_seconds"] == 3.0


# Attempts


@pytest.mark.parametrize("kind", ["job.started", "job.queued"])
def test_a_beginning_with_a_higher_attempt_reopens(job: Reports, kind: str) -> None:
    job("job.failed", error={"type": "E"})
    assert job("job.progressed", attempt=2)["status"] == "failed"
    again = job(kind, attempt=2, worker="w2")
    assert again["status"] == ("started" if kind == "job.started" else "queued")
    assert (again["error"], again["finished_at"], again["attempt"], again["worker"]) == (None, None, 2, "w2")


def test_a_higher_attempt_starts_progress_again_and_keeps_what_the_job_is(job: Reports) -> None:
    job("job.queued", kind="k", title="t", labels={"a": "b"}, owner="o", stages=[{"name": "declared", "weight": 3}])
    job("stage.progressed", stage="declared", percent=50, done=1, message="m", details={"a": 1}, worker="w1")
    job("stage.started", stage="found")
    job("unit.finished", unit="u", stage="found")
    job("job.counted", unit="u", indicator="rows", done=5, total=5, stage="found")
    job("job.pause_requested")
    job("job.progressed", done=1, total=2)
    again = job("job.started", attempt=3)
    fresh = Reports()
    first = fresh(
        "job.queued", kind="k", title="t", labels={"a": "b"}, owner="o", stages=[{"name": "declared", "weight": 3}]
    )
    kept = {"status": "started", "attempt": 3, "percent": 0.0}
    kept |= dict.fromkeys(("started_at", "heard_at", "updated_at"), at(7))
    assert told(again, "eta") == told(first, "eta") | kept
    assert (job.units, job.ranks, job.now["events"]) == ({}, [], 8)


def test_what_a_queue_is_served_by_outlives_an_attempt(job: Reports) -> None:
    job("job.queued", priority=7, max_attempts=3)
    job("job.started", attempt=2)
    created, priority, max_attempts, *_ = json.loads(job.hashes[job.keys.state("j")]["sums"])
    assert (created, priority, max_attempts) == (1_763_750_000_000, 7, 3)


def test_a_lower_attempt_has_no_effect(job: Reports) -> None:
    job("job.started", attempt=5)
    before = job("job.progressed", attempt=5, percent=10)
    after = job("job.finished", attempt=4, message="m", worker="w")
    assert told(after) == told(before)
    assert job.marks == [None, None, "superseded"]
    assert job("job.progressed", percent=20)["percent"] == 20.0


def test_progress_of_a_higher_attempt_begins_it_where_its_start_was_never_heard(job: Reports) -> None:
    job("job.started")
    job("unit.finished", unit="u")
    again = job("job.progressed", percent=3, attempt=2)
    assert (again["attempt"], again["percent"], again["units"]["total"], again["status"]) == (2, 3.0, 0, "running")


def test_an_event_without_effect_begins_no_attempt(job: Reports) -> None:
    job("job.claimed", worker="w1")
    before = job("job.progressed", percent=10, worker="w1")
    job("job.teleported", attempt=2, worker="w1")
    after = job("job.started", attempt=2, worker="w2")
    assert told(after) == told(before)
    assert job.marks[2:] == ["unknown", "unclaimed"]


def test_the_attempt_of_a_unit_is_not_the_jobs(job: Reports) -> None:
    job("job.started")
    assert job("unit.started", unit="u", attempt=7)["attempt"] == 1
    assert job("job.counted", unit="u", indicator="i", attempt=8)["attempt"] == 1


# Times and counts


def test_times_are_those_of_the_log_and_not_the_producers(job: Reports) -> None:
    job("job.queued", at="2020-01-01T00:00:00Z")
    job("job.started", at="2030-01-01T00:00:00Z")
    ended = job("job.finished")
    assert [ended[key] for key in ("created_at", "started_at", "finished_at", "updated_at")] == [
        at(0),
        at(1),
        at(2),
        at(2),
    ]


def test_the_last_report_of_progress_is_told_from_other_signs_of_life(job: Reports) -> None:
    assert job("job.started")["progressed_at"] is None
    assert job("job.progressed")["progressed_at"] == at(1)
    heard = job("job.heartbeat")
    assert (heard["progressed_at"], heard["updated_at"]) == (at(1), at(2))
    assert job("job.started", attempt=2)["progressed_at"] is None


def test_an_event_without_effect_moves_the_position_and_not_the_update(job: Reports) -> None:
    job("job.progressed", src="s", seq=1, attempt=2)
    for kind, fields in (("job.progressed", {"src": "s", "seq": 1}), ("x", {}), ("job.progressed", {"attempt": 1})):
        snapshot = job(kind, **fields)
    assert (snapshot["updated_at"], snapshot["position"]) == (at(0), "1763750003000-0")
    assert job.marks == [None, "duplicate", "unknown", "superseded"]


def test_a_resent_event_changes_nothing_but_its_count_whatever_other_sources_say(job: Reports) -> None:
    job("job.counted", indicator="i", done=1, src="a", seq=5)
    job("job.counted", indicator="i", done=1, src="b", seq=1)
    job("job.counted", indicator="i", done=1)
    job("job.counted", indicator="i", done=1, src="a")
    for seq in (5, 4, 0):
        job("job.counted", indicator="i", done=1, src="a", seq=seq)
    assert (job.counters["i"], job.now["duplicates"], job.now["events"]) == ((4, 0), 3, 7)
    job("job.counted", indicator="i", done=1, src="a", seq=9)
    assert job.counters["i"] == (5, 0)


def test_a_source_is_known_again_in_the_next_attempt(job: Reports) -> None:
    job("job.progressed", src="a", seq=5)
    job("job.started", src="a", seq=6, attempt=2)
    assert job("job.progressed", src="a", seq=5, percent=50)["percent"] is None
    assert job.now["duplicates"] == 1
