"""The history: every event as it was sent, the marks of those without effect, and the job's attempts."""

import json
from typing import Any

import pytest

from tests.support.reports import Reports, at


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def attempt(number: int, **known: Any) -> dict[str, Any]:
    return {
        "attempt": number,
        "worker": None,
        "started_at": None,
        "finished_at": None,
        "status": None,
        "error": None,
    } | known


def test_every_event_is_kept_as_it_was_sent_under_its_position(job: Reports) -> None:
    payload = b'{ "type":"job.progressed" , "job":"j", "flavour":"\xc3\xa4", "percent":1e1 }'
    job.fold([(b"1763750000000-7", [b"e", payload])])
    assert job.streams[job.keys.events("j")] == [("1763750000000-7", [b"e", payload])]


def test_events_without_effect_are_kept_with_the_mark_that_says_why(job: Reports) -> None:
    events: list[tuple[str | None, dict[str, Any]]] = [
        (None, {"type": "job.claimed", "worker": "w", "attempt": 2}),
        (None, {"type": "job.progressed", "worker": "w", "src": "s", "seq": 1}),
        ("duplicate", {"type": "job.progressed", "worker": "w", "src": "s", "seq": 1}),
        ("superseded", {"type": "job.progressed", "worker": "w", "attempt": 1}),
        ("unclaimed", {"type": "job.progressed", "worker": "other"}),
        ("unknown", {"type": "job.teleported", "worker": "w"}),
        (None, {"type": "unit.finished", "worker": "w", "unit": "u", "attempt": 2}),
        ("late", {"type": "unit.progressed", "worker": "w", "unit": "u"}),
        ("superseded", {"type": "unit.progressed", "worker": "w", "unit": "u", "attempt": 1}),
        (None, {"type": "job.finished", "worker": "w"}),
        ("late", {"type": "job.progressed", "worker": "w"}),
        ("duplicate", {"type": "job.progressed", "worker": "w", "src": "s", "seq": 0}),
    ]
    for _, event in events:
        job.report([event])
    assert job.marks == [mark for mark, _ in events]
    assert [json.loads(fields[1]) for _, fields in job.streams[job.keys.events("j")]] == [
        {"job": "j"} | event for _, event in events
    ]
    assert (job.now["late"], job.now["duplicates"], job.now["events"]) == (1, 2, 12)


def test_marks_of_one_batch_go_to_their_own_events() -> None:
    job = Reports()
    job.report([{"type": "job.noted", "src": "s", "seq": seq} for seq in (1, 1, 2, 2, 3)])
    assert job.marks == [None, "duplicate", None, "duplicate", None]


def test_a_job_that_was_never_begun_has_no_attempts(job: Reports) -> None:
    job("job.queued")
    job("job.progressed", attempt=1)
    job("unit.started", unit="u", attempt=4)
    assert job.attempts == []


def test_each_attempt_tells_who_when_and_how_it_ended(job: Reports) -> None:
    job("job.queued")
    job("job.claimed", worker="w1")
    job("job.started", worker="w1")
    job("job.failed", worker="w1", error={"type": "E", "detail": "no"})
    job("job.started", worker="w2", attempt=3)
    job("job.finished", attempt=3)
    assert job.attempts == [
        attempt(
            1, worker="w1", started_at=at(1), finished_at=at(3), status="failed", error={"type": "E", "detail": "no"}
        ),
        attempt(3, worker="w2", started_at=at(4), finished_at=at(5), status="finished"),
    ]


def test_an_attempt_that_was_queued_again_is_its_own_whoever_numbers_it(job: Reports) -> None:
    job("job.started", worker="w1")
    job("job.failed")
    job("job.queued", attempt=2)
    job("job.started", worker="w2")
    job("job.canceled")
    assert job.attempts == [
        attempt(1, worker="w1", started_at=at(0), finished_at=at(1), status="failed"),
        attempt(2, worker="w2", started_at=at(3), finished_at=at(4), status="canceled"),
    ]


def test_progress_of_a_higher_attempt_is_the_first_of_it(job: Reports) -> None:
    job("job.started")
    job("job.progressed", attempt=2, percent=5)
    job("job.finished")
    assert job.attempts == [attempt(1, started_at=at(0)), attempt(2, finished_at=at(2), status="finished")]


def test_an_earlier_attempt_may_tell_how_it_ended_when_the_next_has_begun(job: Reports) -> None:
    error = {"type": "E", "detail": "no"}
    job("job.started", attempt=1, worker="w1")
    job("job.queued", attempt=2)
    job("job.failed", attempt=1, worker="w1", error=error)
    job("job.started", attempt=2, worker="w2")
    job("job.failed", attempt=1, worker="w1", error={"type": "E", "detail": "again"})
    assert (job.now["status"], job.now["error"]) == ("started", None)
    assert job.attempts == [
        attempt(1, worker="w1", started_at=at(0), finished_at=at(2), status="failed", error=error),
        attempt(2, worker="w2", started_at=at(3)),
    ]


def test_what_has_no_effect_changes_no_attempt(job: Reports) -> None:
    job("job.started", attempt=2, worker="w", src="s", seq=1)
    job("job.finished")
    before = job.attempts
    job("job.failed")
    job("job.started", attempt=1)
    job("job.started", attempt=5, src="s", seq=1)
    job("job.progressed", attempt=6)
    assert job.attempts == before


def test_the_attempt_of_a_unit_is_not_the_jobs(job: Reports) -> None:
    job("job.started")
    job("job.finished", unit="u", attempt=9)
    assert job.attempts == [attempt(1, started_at=at(0), finished_at=at(1), status="finished")]


def test_the_newest_thousand_attempts_are_kept() -> None:
    job = Reports()
    job.report([{"type": "job.started", "attempt": number} for number in range(1, 1003)])
    assert [each["attempt"] for each in job.attempts] == list(range(3, 1003))
