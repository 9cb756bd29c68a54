"""What a silence makes of a job, and which silence is too long."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from projections.paths import Path, Run
from projections.stalls import LEAST_MS, UNKNOWN_MS, Stalls, patience
from streamproc.projection import Silence, rfc3339
from streamproc.wire import decode, encode
from tests.support.events import as_entries, event_lists
from tests.support.folding import MemoryStore
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
    assert job("unit.added", unit="u", worker="w")["heard_at"] == at(4)
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
    assert set(job.indexes) == {"", "started", "status:running", "kind:k", "status:running:kind:k"}


# What is too long --------------------------------------------------------------------------------------------------

HOUR = 3_600_000
NOW = 1_763_750_000_000
TIMES = st.integers(0, 2**48)


def silence(**fields: Any) -> Silence:
    return Silence(**({"job": "j", "kind": None, "attempt": 1, "since": NOW, "heard": None, "usual": 0} | fields))


def snapshot(**fields: Any) -> bytes:
    return msgspec.json.encode({"job_id": "j", "status": "running", "stalled": False} | fields)


@given(st.lists(TIMES))
@example([2**48] * 100)
@example([])
def test_no_silence_below_half_a_minute_is_too_long_and_some_silence_is(gaps: list[int]) -> None:
    found = patience(gaps)
    assert isinstance(found, int)
    assert LEAST_MS <= found <= 365 * 24 * HOUR
    assert found >= UNKNOWN_MS or len(gaps) >= 5


@given(st.lists(st.integers(0, HOUR), min_size=5), st.integers(0, HOUR))
def test_who_is_more_silent_as_a_rule_may_be_silent_for_longer(gaps: list[int], more: int) -> None:
    assert patience([gap + more for gap in gaps]) >= patience(gaps)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([], UNKNOWN_MS),
        ([1000] * 4, UNKNOWN_MS),
        ([HOUR], 3 * HOUR),
        ([1000] * 5, LEAST_MS),
        ([20_000] * 5, 60_000),
        ([20_000] * 19 + [HOUR], 60_000),
        ([20_000] * 18 + [HOUR] * 2, 3 * HOUR),
        (list(range(1000, 101_000, 1000)), 285_000),
    ],
    ids=[
        "nothing is known",
        "a few quick runs",
        "one slow run",
        "quick",
        "even",
        "one in twenty",
        "two in twenty",
        "p95",
    ],
)
def test_three_times_what_nearly_all_runs_come_back_from_is_too_long(gaps: list[int], expected: int) -> None:
    assert patience(gaps) == expected


def test_runs_that_did_not_finish_teach_nothing() -> None:
    runs = [msgspec.json.encode(Run(outcome, 1, 0, HOUR, [])) for outcome in ("failed", "canceled")] * 20
    assert Stalls().learn(runs) == UNKNOWN_MS
    assert Stalls().learn(runs + [msgspec.json.encode(Run("finished", 1, 0, 1000, []))] * 5) == LEAST_MS


@given(TIMES, st.one_of(st.none(), st.integers(LEAST_MS, HOUR)))
def test_a_job_that_came_back_from_a_long_silence_may_be_silent_again(usual: int, kind: int | None) -> None:
    found = Stalls().patience(silence(usual=usual), kind)
    assert found >= (UNKNOWN_MS if kind is None else kind)
    assert found >= min(2 * usual, 365 * 24 * HOUR)


def test_a_silence_counts_from_the_last_progress_or_the_last_time_the_job_was_taken_up() -> None:
    times = {name: rfc3339(NOW + at) for at, name in enumerate(("started_at", "resumed_at", "progressed_at"))}
    path = Path(started=NOW, gap=7000)
    for fields, since in ((times, 2), (times | {"progressed_at": None}, 1), ({"started_at": rfc3339(NOW)}, 0)):
        found = Stalls().silence(snapshot(kind="k", attempt=2, heard_at=rfc3339(NOW + 9), eta=path, **fields))
        assert found == silence(kind="k", attempt=2, since=NOW + since, heard=NOW + 9, usual=7000)


@pytest.mark.parametrize(
    "stored",
    [
        snapshot(started_at=rfc3339(NOW), stalled=True),
        *(snapshot(started_at=rfc3339(NOW), status=status) for status in ("queued", "paused", "finished", "failed")),
        snapshot(),
        b"null",
        b"{}",
        b"rubbish",
    ],
)
def test_other_jobs_have_no_silence(stored: bytes) -> None:
    assert Stalls().silence(stored) is None


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (None, "no sign of life for 6 min"),
        (0, "no sign of life for 6 min"),
        (10_000, "no sign of life for 5 min 50 s"),
        (329_999, "no sign of life for 30 s"),
        (330_000, "alive, but no progress for 6 min"),
        (360_000, "alive, but no progress for 6 min"),
    ],
)
def test_a_worker_is_alive_that_said_anything_within_half_a_minute(heard: int | None, reason: str) -> None:
    told = silence(heard=None if heard is None else NOW + heard, attempt=2)
    event = Stalls().event(told, NOW + 360_000)
    assert (event.reason, event.silent_seconds, event.attempt, event.job) == (reason, 360.0, 2, "j")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 s"),
        (45_400, "45 s"),
        (60_000, "1 min"),
        (3_605_000, "1 h"),
        (90_000_000, "1 d 1 h"),
        (10**11, "1157 d 9 h"),
    ],
)
def test_a_time_is_shown_in_its_two_largest_units(ms: int, shown: str) -> None:
    assert Stalls().event(silence(), NOW + ms).reason == f"no sign of life for {shown}"


@settings(deadline=None)
@given(event_lists, st.integers(0, HOUR))
def test_what_is_decided_of_a_snapshot_stalls_the_job_and_only_once(events: list[dict[str, Any]], later: int) -> None:
    store, stalls = MemoryStore(), Stalls()
    entries = as_entries(events)
    store.fold(entries)
    now = 1_763_750_000_000 + 700 * len(entries) + later
    for job in {event["job"] for event in events}:
        found = stalls.silence(store.hashes[store.keys.state(job)]["snapshot"])
        if found is None:
            continue
        payload = encode(stalls.event(found, now))
        assert decode(payload).job == job
        store.fold([(f"{now + 5}-0".encode(), [b"e", payload])])
        assert store.snapshot(job)["stalled"] is True
        assert stalls.silence(store.hashes[store.keys.state(job)]["snapshot"]) is None
