"""What is served as `eta` of a job in the queue."""

from typing import Any

import msgspec
import pytest

from projections import ESTIMATOR
from projections.paths import Run
from projections.serving import Learned
from streamproc.projection import rfc3339
from tests.support.folding import MemoryStore

START = 1_763_750_000_000


def waited(*seconds: float) -> Learned:
    """What runs have taught whose jobs waited so long."""
    return ESTIMATOR.learn([msgspec.json.encode(Run("finished", 1000, round(1000 * each), 0, [])) for each in seconds])


def eta(learned: Learned | None, now: float, *events: dict[str, Any]) -> Any:
    """The served `eta` of a job after events at chosen seconds."""
    store = MemoryStore()
    for number, event in enumerate(events):
        fields = {"job": "j", "kind": "k"} | {name: value for name, value in event.items() if name != "at"}
        position = f"{START + round(1000 * event['at'])}-{number}"
        store.fold([(position.encode(), [b"e", msgspec.json.encode(fields)])])
    stored = store.hashes[store.keys.state("j")]["snapshot"]
    served, _ = ESTIMATOR.served(stored, learned, START + round(1000 * now), None)
    return msgspec.json.decode(served)["eta"]


def at(seconds: float) -> str:
    return rfc3339(START + round(1000 * seconds))


QUEUED = {"at": 0, "type": "job.queued"}


def test_a_queued_job_starts_when_those_did_that_waited_longer_than_it_has() -> None:
    learned = waited(30, 10, 20, 40, 50)
    assert eta(learned, 5, QUEUED)["start_at"] == {"p50": at(30), "p90": at(46)}
    assert eta(learned, 10, QUEUED)["start_at"] == {"p50": at(35), "p90": at(47)}
    assert eta(learned, 49, QUEUED)["start_at"] == {"p50": at(50), "p90": at(50)}
    assert eta(learned, 49, QUEUED)["reason"] == "queued"


@pytest.mark.parametrize("learned", [None, waited(), waited(0, 0, 0), waited(10, 60)])
def test_nobody_knows_when_a_job_starts_that_waits_longer_than_any_did(learned: Learned | None) -> None:
    assert eta(learned, 60, QUEUED) == {
        "remaining_seconds": None, "finish_at": None, "basis": None, "reason": "queued", "start_at": None
    }  # fmt: skip


def test_a_job_that_runs_has_started() -> None:
    found = eta(waited(10, 20), 5, QUEUED, {"at": 1, "type": "job.progressed", "percent": 50})
    assert (found["basis"], found["start_at"]) == ("rate", None)


def test_a_later_attempt_waits_from_when_it_was_queued() -> None:
    ended = [QUEUED, {"at": 1, "type": "job.started"}, {"at": 100, "type": "job.failed"}]
    found = eta(waited(10), 105, *ended, {"at": 103, "type": "job.queued", "attempt": 2})
    assert found["start_at"] == {"p50": at(113), "p90": at(113)}


def test_a_released_job_waits_from_when_it_was_released() -> None:
    claimed = {"at": 1, "type": "job.claimed", "worker": "w"}
    found = eta(waited(10), 105, QUEUED, claimed, {"at": 103, "type": "job.released"})
    assert (found["reason"], found["start_at"]) == ("queued", {"p50": at(113), "p90": at(113)})


def test_a_later_snapshot_has_the_estimate_of_a_moment_ago_while_its_status_is_the_same() -> None:
    first = b'{"job_id":"j","status":"running","percent":50.0,"eta":[1,0],"created_at":null,"position":"1-0"}'
    later = first.replace(b'"1-0"', b'"2-0"').replace(b"50.0", b"60.0")
    served, last = ESTIMATOR.served(first, None, 10_000, None)
    again = ESTIMATOR.again(later, 10_100, last)
    assert again is not None
    assert msgspec.json.decode(again) == msgspec.json.decode(served) | {"position": "2-0", "percent": 60.0}
    assert ESTIMATOR.again(later, 11_000, last) is None
    assert ESTIMATOR.again(later.replace(b"running", b"finished"), 10_100, last) is None
    assert ESTIMATOR.again(later, 10_100, None) is None
