"""What a silence makes of a job, and which silence is too long."""

from typing import Any

import pytest

from tests.support.reports import Reports, at


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


# The fold --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        {"type": "job.progressed"},
        {"type": "job.counted", "indicator": "i"},
        {"type": "stage.progressed", "stage": "s"},
        {"type": "unit.progressed", "unit": "u", "percent": 1},
        {"type": "job.started"},
        {"type": "job.claimed", "worker": "w"},
        {"type": "job.released"},
        {"type": "job.paused"},
        {"type": "job.resumed"},
        {"type": "job.started", "attempt": 2},
        {"type": "job.finished"},
    ],
    ids=lambda event: event["type"],
)
def test_a_stall_is_shown_until_the_job_goes_on_or_rests(job: Reports, event: dict[str, Any]) -> None:
    job("unit.started", unit="u")
    assert job("job.stalled", silent_seconds=1)["stalled"] is True
    for other in ("job.heartbeat", "job.noted", "job.pause_requested", "job.queued"):
        assert job(other)["stalled"] is True
    job.report([event])
    assert job.now["stalled"] is False


def test_a_job_may_stall_again(job: Reports) -> None:
    job("job.progressed")
    job("job.stalled", silent_seconds=1)
    job("job.progressed")
    assert job("job.stalled", silent_seconds=1)["stalled"] is True


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "job.progressed"}],
        [{"type": "stage.finished", "stage": "s"}],
        [{"type": "job.started"}],
        [{"type": "job.paused"}, {"type": "job.resumed"}],
        [{"type": "job.released"}, {"type": "job.claimed", "worker": "w"}],
        [{"type": "job.started", "attempt": 2}],
        [{"type": "job.paused"}],
        [{"type": "job.released"}],
        [{"type": "job.queued", "attempt": 2}],
        [{"type": "job.finished"}],
    ],
    ids=lambda events: " ".join(event["type"] for event in events),
)
def test_a_silence_that_is_over_when_it_is_told_of_has_no_effect(job: Reports, events: list[dict[str, Any]]) -> None:
    """The sweeper saw the first event only: it decided before the others were folded."""
    job("job.progressed", percent=10)
    job.report(events)
    counts = dict.fromkeys(("position", "events", "late"))
    before = job.now | counts
    after = job("job.stalled", silent_seconds=len(events) + 1)
    assert (after["stalled"], job.marks[-1]) == (False, "late")
    assert after | counts == before


def test_a_silence_that_lasts_is_told_of_once(job: Reports) -> None:
    job("job.started")
    job("job.heartbeat")
    job("job.stalled", silent_seconds=2)
    assert job("job.stalled", silent_seconds=3)["stalled"] is True
    assert job.marks == [None, None, None, "late"]


@pytest.mark.parametrize("before", ["job.queued", "job.paused", "job.finished"])
def test_a_job_that_waits_or_has_ended_does_not_stall(job: Reports, before: str) -> None:
    job(before)
    assert (job("job.stalled", silent_seconds=1)["stalled"], job.marks[-1]) == (False, "late")


def test_an_event_for_which_there_is_no_room_shows_that_the_job_goes_on(job: Reports) -> None:
    job("job.started", stages=[{"name": str(number)} for number in range(1000)])
    job("job.stalled", silent_seconds=1)
    after = job("stage.started", stage="one more")
    assert (job.marks[-1], after["stalled"], after["progressed_at"]) == ("over_limit", False, at(2))
    assert job("job.stalled", silent_seconds=2)["stalled"] is False


def test_what_the_worker_says_is_told_from_what_others_say_of_it(job: Reports) -> None:
    assert job("job.queued")["heard_at"] is None
    assert job("job.cancel_requested")["heard_at"] is None
    assert job("job.claimed", worker="w")["heard_at"] == at(2)
    assert job("job.stalled", silent_seconds=1)["heard_at"] == at(2)
    assert job("unit.added", unit="u", worker="w")["heard_at"] == at(2)
    for second, event in enumerate(("job.heartbeat", "job.noted", "job.progressed", "job.paused"), start=5):
        assert job(event, worker="w")["heard_at"] == at(second)
    assert job("job.resume_requested")["heard_at"] == at(8)
    assert job("job.heartbeat", worker="another")["heard_at"] == at(8)


def test_when_a_job_was_taken_up_again_is_told_beside_its_start(job: Reports) -> None:
    assert job("job.started")["resumed_at"] is None
    job("job.paused")
    resumed = job("job.resumed")
    assert (resumed["started_at"], resumed["resumed_at"]) == (at(0), at(2))
    assert job("job.started", attempt=2)["resumed_at"] is None


def test_a_stalled_job_is_listed_as_such_by_status_and_kind(job: Reports) -> None:
    job("job.started")
    job("job.stalled")
    assert {name for name in job.indexes if "stalled" in name} == {"stalled", "stalled:status:started"}
    job("job.queued", kind="k")
    everything = {"stalled", "stalled:status:started", "stalled:kind:k", "stalled:status:started:kind:k"}
    assert {name for name in job.indexes if "stalled" in name} == everything
    job("job.progressed")
    assert not {name for name in job.indexes if "stalled" in name}
    assert set(job.indexes) == {"", "status:running", "kind:k", "status:running:kind:k"}
