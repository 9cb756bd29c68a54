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


@pytest.mark.parametrize("kind", [*WISHES.values(), "job.stalled", "job.released"])
@pytest.mark.parametrize("claimed", [False, True])
def test_only_work_begins_an_attempt(job: Reports, kind: str, claimed: bool) -> None:
    if claimed:
        job("job.claimed", worker="w1", attempt=1, lease_seconds=30)
    before = job("job.progressed", worker="w1", percent=50)
    deadlines = dict(job.zsets.get(job.keys.queue("claims"), {}))
    after = job(kind, attempt=2)
    kept = ("attempt", "percent", "status", "worker", "heard_at")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert job.zsets.get(job.keys.queue("claims"), {}) == deadlines


def test_an_attempt_that_begins_with_nothing_leaves_the_claim_its_lease(job: Reports) -> None:
    job("job.claimed", worker="w1", attempt=1, lease_seconds=30)
    started = job.zsets[job.keys.queue("claims")]["j"]
    assert job("job.canceled", worker="w1", by="w1", attempt=2)["attempt"] == 2
    assert job.marks[-1] == "late"
    assert job.zsets[job.keys.queue("claims")]["j"] == started


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


def test_what_is_claimed_or_at_work_cannot_be_claimed(job: Reports) -> None:
    job("job.queued")
    job("job.claimed", worker="w1", attempt=1, lease_seconds=30)
    claimed = job("job.claimed", worker="w2", attempt=2, lease_seconds=30)
    assert (claimed["worker"], claimed["attempt"]) == ("w1", 1)
    job("job.released", worker="w1")
    job("job.progressed", worker="w3")
    assert job("job.claimed", worker="w2", attempt=2)["worker"] == "w3"
    job("job.finished", worker="w3")
    job("job.claimed", worker="w2", attempt=2)
    assert job.marks == [None, None, "unclaimed", None, None, "unclaimed", None, "late"]


@pytest.mark.parametrize("attempt", [{}, {"attempt": 1}, {"attempt": 2}])
def test_who_has_lost_a_job_has_no_say_in_it_until_it_claims_it_again(job: Reports, attempt: dict[str, int]) -> None:
    job("job.queued")
    job("job.claimed", worker="w1", attempt=1, lease_seconds=2)
    job("job.progressed", worker="w1", percent=20)
    job("job.released", worker="w1", attempt=1)
    released = job.now
    job("job.started", worker="w1", **attempt)
    job("job.progressed", worker="w1", percent=30, **attempt)
    job("job.finished", worker="w1", **attempt)
    assert told(job.now) == told(released)
    assert job("job.claimed", worker="w1", attempt=2)["percent"] is None
    assert job("job.progressed", worker="w1", attempt=2, percent=30)["percent"] == 30.0


def test_only_who_holds_a_job_gives_it_back(job: Reports) -> None:
    job("job.queued")
    job("job.claimed", worker="w1")
    assert job("job.released", worker="w2")["status"] == "started"
    assert job("job.released", worker="w1")["status"] == "queued"
    job("job.released", worker="w1")
    assert job.marks[2:] == ["late", None, "late"]


# Leases


EXPIRED: list[dict[str, Any]] = [
    {"type": "job.released", "reason": "lease expired"},
    {"type": "job.failed", "error": {"type": "LeaseExpired"}},
    {"type": "job.canceled"},
]


@pytest.mark.parametrize("decision", EXPIRED, ids=lambda event: event["type"])
@pytest.mark.parametrize("word", ["job.heartbeat", "job.progressed", "unit.added", "job.noted"])
def test_a_word_of_the_worker_keeps_the_claim_where_the_decision_knew_nothing_of_it(
    job: Reports, decision: dict[str, Any], word: str
) -> None:
    """The clock of these tests goes on by a second with each event."""
    job("job.queued")
    job("job.claimed", worker="w1", lease_seconds=2)  # at second 1
    job("job.cancel_requested")  # at 2: nothing of the worker's
    job(word, unit="u", worker="w1")  # at 3
    before = job.now
    kind, fields = decision["type"], {key: value for key, value in decision.items() if key != "type"}
    after = job(kind, worker="w1", attempt=1, silent_seconds=2.5, **fields)  # at 4
    assert (after["status"], after["worker"], job.marks[-1]) == (before["status"], "w1", "late")
    after = job(kind, worker="w1", attempt=1, silent_seconds=2.0, **fields)  # at 5: now it is true
    assert (after["status"], job.marks[-1]) == ({"job.released": "queued"}.get(kind, kind.partition(".")[2]), None)
    assert after["heard_at"] == at(3)


@pytest.mark.parametrize("decision", EXPIRED, ids=lambda event: event["type"])
def test_what_is_decided_of_a_claim_that_is_another_by_then_has_no_effect(
    job: Reports, decision: dict[str, Any]
) -> None:
    kind, fields = decision["type"], {key: value for key, value in decision.items() if key != "type"}
    job("job.queued")
    job("job.claimed", worker="w1", attempt=1, lease_seconds=1)
    job("job.released", worker="w1", attempt=1)
    assert job(kind, worker="w1", attempt=1, silent_seconds=9, **fields)["status"] == "queued"
    job("job.claimed", worker="w1", attempt=2, lease_seconds=1)
    job("job.heartbeat", worker="w1", attempt=2)
    assert job(kind, worker="w1", attempt=1, silent_seconds=9, **fields)["status"] == "started"
    assert job.marks[3] is not None
    assert job.marks[-1] == "superseded"


@pytest.mark.parametrize("decision", EXPIRED, ids=lambda event: event["type"])
def test_what_is_decided_of_one_worker_ends_no_lease_of_another(job: Reports, decision: dict[str, Any]) -> None:
    kind, fields = decision["type"], {key: value for key, value in decision.items() if key != "type"}
    job("job.queued")
    job("job.claimed", worker="w2", attempt=1, lease_seconds=1)
    job("job.noted", worker="w1")
    job("job.noted", worker="w1")
    assert job(kind, worker="w1", attempt=1, silent_seconds=9, **fields)["status"] == "started"
    assert job(kind, worker="w2", attempt=1, silent_seconds=9, **fields)["status"] != "started"


def test_when_a_lease_ends_is_indexed_and_put_off_by_any_word_of_the_worker(job: Reports) -> None:
    def lease() -> int | None:
        ends = job.zsets.get(job.keys.queue("claims"), {}).get("j")
        return None if ends is None else (ends - 1_763_750_000_000) // 1000

    job("job.queued")
    job("job.claimed", worker="w1", lease_seconds=30)
    assert lease() == 31
    for second, word in enumerate(("job.heartbeat", "job.started", "job.progressed", "unit.added", "job.paused"), 2):
        job(word, unit="u", worker="w1")
        assert lease() == 30 + second
    job("job.progressed", worker="w2")
    job("job.pause_requested", worker="w1")
    assert lease() == 36
    job("job.released", worker="w1")
    assert lease() is None
    job("job.claimed", worker="w2", attempt=2, lease_seconds=5)
    assert lease() == 15
    job("job.finished", worker="w2")
    assert lease() is None


# The queue


def queued(job: Reports) -> dict[str, dict[str, int]]:
    """The queues that aren't empty, by kind."""
    prefix = job.keys.queue("queue")
    return {key[len(prefix) :]: jobs for key, jobs in job.zsets.items() if key.startswith(prefix) and jobs}


def test_a_job_is_in_the_queue_of_its_kind_while_it_waits_for_a_worker(job: Reports) -> None:
    member = "1763750000000:j"
    job("job.noted")
    assert queued(job) == {}
    job("job.queued", kind="k", priority=7)
    assert queued(job) == {"": {member: -7}, ":k": {member: -7}}
    job("job.queued", kind="l", priority=8)
    assert queued(job) == {"": {member: -8}, ":l": {member: -8}}
    job("job.claimed", worker="w1", lease_seconds=1)
    assert queued(job) == {}
    job("job.released", worker="w1")
    assert queued(job) == {"": {member: -8}, ":l": {member: -8}}
    job("job.progressed", worker="w2")
    assert queued(job) == {}
    job("job.failed", worker="w2")
    job("job.queued", attempt=2)
    assert queued(job) == {"": {member: -8}, ":l": {member: -8}}
    job("job.canceled", by="ann")
    assert queued(job) == {}


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "job.claimed", "worker": "w", "attempt": 1}],
        [{"type": "job.canceled", "attempt": 2}, {"type": "job.queued", "attempt": 3}],
        [
            {"type": "job.finished", "attempt": 2},
            {"type": "job.claimed", "worker": "w"},
            {"type": "job.queued", "attempt": 3},
        ],
        [{"type": "job.claimed", "worker": "w", "attempt": 2}, {"type": "job.released", "worker": "w"}],
    ],
)
def test_who_took_a_job_out_of_the_queue_for_nothing_is_made_good(job: Reports, events: list[dict[str, Any]]) -> None:
    """Taking it out is done before what that is for is folded."""
    job("job.queued")
    job("job.queued", attempt=2)
    before = queued(job)
    job.zsets[job.keys.queue("queue")].clear()
    job.report(events)
    assert job.now["status"] == "queued"
    assert queued(job) == before


# Wishes that cross


def test_who_is_asked_to_go_on_before_it_says_that_it_stands_still_is_asked_when_it_does(job: Reports) -> None:
    job("job.progressed")
    job("job.pause_requested")
    assert job("job.resume_requested")["requested"] is None
    job("job.progressed")
    paused = job("job.paused")
    assert (paused["status"], paused["requested"]) == ("paused", "resume")
    assert job("job.resumed")["requested"] is None
    assert job("job.paused")["requested"] is None


def test_the_last_wish_counts_where_wishes_cross_with_what_the_worker_does(job: Reports) -> None:
    job("job.progressed")
    for wish in ("pause", "resume", "pause"):
        job(WISHES[wish])
    assert job("job.paused")["requested"] is None
    job("job.resumed")
    for wish in ("pause", "resume", "cancel"):
        job(WISHES[wish])
    assert job("job.paused")["requested"] == "cancel"
