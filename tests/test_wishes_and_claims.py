"""What is asked of a job's worker, and whose events count."""

from typing import Any

import pytest

from tests.support.reports import Reports, at

WISHES = {"pause": "job.pause_requested", "resume": "job.resume_requested", "cancel": "job.cancel_requested"}


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def told(snapshot: dict[str, Any]) -> dict[str, Any]:
    """What a snapshot says, beside the count of events and their position."""
    return {key: value for key, value in snapshot.items() if key not in {"events", "position"}}


# Wishes


@pytest.mark.parametrize(
    ("paused", "wishes", "requested"),
    [
        (False, ["pause"], "pause"),
        (False, ["pause", "resume"], None),
        (False, ["resume"], None),
        (False, ["cancel", "pause"], "cancel"),
        (False, ["pause", "cancel", "resume"], "cancel"),
        (True, ["pause"], None),
        (True, ["resume"], "resume"),
        (True, ["resume", "pause"], None),
        (True, ["cancel", "resume"], "cancel"),
    ],
)
def test_the_last_wish_that_would_change_something_is_shown_and_cancel_outdoes_all(
    job: Reports, paused: bool, wishes: list[str], requested: str | None
) -> None:
    status = job("job.paused" if paused else "job.progressed")["status"]
    for wish in wishes:
        snapshot = job(WISHES[wish])
    assert (snapshot["requested"], snapshot["status"]) == (requested, status)


def test_a_wish_is_cleared_when_the_worker_has_fulfilled_it(job: Reports) -> None:
    job("job.progressed")
    job("job.pause_requested")
    assert job("job.progressed")["requested"] == "pause"
    assert job("job.resumed")["requested"] == "pause"
    assert job("job.paused")["requested"] is None
    job("job.resume_requested")
    assert job("job.paused")["requested"] == "resume"
    assert job("job.resumed")["requested"] is None
    job("job.cancel_requested")
    job("job.paused")
    assert job("job.resumed")["requested"] == "cancel"


def test_who_wishes_is_not_the_worker(job: Reports) -> None:
    job("job.started", worker="w1")
    assert job("job.cancel_requested", worker="ann", message="please")["worker"] == "w1"
    assert job.now["message"] == "please"


# Claims


def test_only_the_events_of_who_holds_the_claim_count(job: Reports) -> None:
    claimed = job("job.claimed", worker="w1", lease_seconds=30)
    assert (claimed["status"], claimed["worker"], claimed["started_at"]) == ("started", "w1", at(0))
    job("job.progressed", percent=50, worker="w2", message="mine")
    after = job("job.finished")
    assert told(after) == told(claimed)
    assert job("job.progressed", percent=50, worker="w1")["percent"] == 50.0
    assert job.marks == [None, "unclaimed", "unclaimed", None]


def test_wishes_and_the_servers_decisions_count_during_a_claim(job: Reports) -> None:
    job("job.claimed", worker="w1")
    assert job("job.stalled")["stalled"] is True
    assert job("job.pause_requested")["requested"] == "pause"


def test_a_released_job_is_queued_again_and_anybodys(job: Reports) -> None:
    job("job.claimed", worker="w1")
    job("job.progressed", worker="w1", percent=20)
    released = job("job.released", reason="the claim expired", worker="w1")
    assert (released["status"], released["worker"], released["percent"]) == ("queued", None, 20.0)
    assert job("job.progressed", worker="w2", percent=30)["status"] == "running"


@pytest.mark.parametrize("kind", ["job.finished", "job.failed", "job.canceled"])
def test_the_end_ends_the_claim(job: Reports, kind: str) -> None:
    job("job.claimed", worker="w1")
    job(kind, worker="w1")
    assert job("job.started", attempt=2, worker="w2")["worker"] == "w2"


def test_a_claim_outlives_a_new_attempt(job: Reports) -> None:
    job("job.claimed", worker="w1", lease_seconds=30)
    job("job.started", attempt=2, worker="w1")
    assert job("job.progressed", worker="w2", percent=50)["percent"] is None
    assert job.marks[-1] == "unclaimed"
