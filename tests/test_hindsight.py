"""Estimates as they were made at past moments: the very ones, of what had happened until then."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import ESTIMATOR
from streamproc.gateway import hindsight
from streamproc.gateway.hindsight import Hindsight
from streamproc.position import key, parse_rfc3339
from tests.support.events import as_entries, event_lists
from tests.support.histories import Histories

pytestmark = pytest.mark.anyio

BEGIN = 1_763_750_000_000


class Runs:
    """Where runs are read, and what time it is."""

    def __init__(self, store: Histories, now: int) -> None:
        self.store, self.now = store, now

    async def latest(self, kinds: Sequence[str], most: int) -> tuple[list[list[tuple[int, bytes]]], int]:
        return [self.store.runs(kind)[-most:] for kind in kinds], self.now


def looking_back(store: Histories, now: int) -> Hindsight:
    return Hindsight(Runs(store, now), store.past(), ESTIMATOR)  # type: ignore[arg-type]


def until(entries: list[tuple[bytes, list[bytes]]], moment: int) -> Histories:
    """What had been written at a moment."""
    store = Histories()
    store.fold([entry for entry in entries if key(entry[0].decode())[0] <= moment])
    return store


def served_then(entries: list[tuple[bytes, list[bytes]]], job: str, moment: int, last: Any) -> tuple[Any, Any]:
    """What a gateway would have served at a moment, with what it served before; and what it keeps of that."""
    store = until(entries, moment)
    snapshot = store.hashes[store.keys.state(job)]["snapshot"]
    kind = ESTIMATOR.kind(snapshot)
    runs = [] if kind is None else [run for ended, run in store.runs(kind) if ended < moment]
    served, last = ESTIMATOR.served(snapshot, None if kind is None else ESTIMATOR.learn(runs), moment, last)
    return json.loads(served), last


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(event_lists, st.integers(2, 30), st.sampled_from(["j1", "j2"]), st.integers(0, 60_000))
async def test_each_moment_of_a_way_is_as_it_was_served_then(
    events: list[dict[str, Any]], points: int, job: str, quiet: int
) -> None:
    entries = as_entries(events)
    now = BEGIN + 700 * len(events) + quiet
    store = until(entries, now)
    stored = store.hashes.get(store.keys.state(job), {}).get("snapshot")
    if stored is None:
        return
    looking = looking_back(store, now)
    way = [json.loads(moment) for moment in await looking.way(job, "a", stored, None, points)]
    times = [parse_rfc3339(moment["at"]) for moment in way]
    snapshot = json.loads(stored)
    assert 1 <= len(way) <= points
    assert times == sorted(set(times))
    assert times[0] == parse_rfc3339(snapshot["created_at"])
    assert times[-1] == (now if snapshot["finished_at"] is None else parse_rfc3339(snapshot["finished_at"]))
    last = None
    for at, moment in zip(times, way, strict=True):
        then, last = served_then(entries, job, at, last)
        assert moment == {"at": moment["at"]} | {name: then[name] for name in ("status", "attempt", "percent", "eta")}
        alone, _ = served_then(entries, job, at, None)
        shown = await looking.snapshot(job, "a", stored, (at, 2**64 - 1))
        assert shown is not None
        assert json.loads(shown) == alone


async def test_a_kind_is_learned_as_its_runs_end() -> None:
    """Of more runs than are learned from at once, those that ended on the way are added one by one."""
    events: list[dict[str, Any]] = [{"job": "j", "type": "job.started", "kind": "k"}]
    for number in range(60):
        events += [
            {"job": f"r{number}", "type": "job.started", "kind": "k"},
            {"job": f"r{number}", "type": "job.progressed", "percent": 50},
            {"job": f"r{number}", "type": "job.finished"},
        ]
    entries = as_entries(events)
    now = BEGIN + 700 * len(events)
    store = until(entries, now)
    stored = store.hashes[store.keys.state("j")]["snapshot"]
    way = [json.loads(moment) for moment in await looking_back(store, now).way("j", "a", stored, None, 20)]
    last = None
    for moment in way:
        then, last = served_then(entries, "j", parse_rfc3339(moment["at"]), last)
        assert moment["eta"] == then["eta"]


async def test_a_shown_end_moves_only_when_it_must() -> None:
    events = [{"job": "j", "type": "job.progressed", "percent": number / 2 + number % 7} for number in range(190)]
    store = until(as_entries(events), 2**62)
    stored = store.hashes[store.keys.state("j")]["snapshot"]
    way = await looking_back(store, BEGIN + 190 * 700).way("j", "a", stored, None, 400)
    ends = [json.loads(moment)["eta"]["finish_at"] for moment in way]
    known = [end["p50"] for end in ends if end is not None]
    assert sum(one != other for one, other in pairwise(known)) < len(known) / 2


async def test_the_runs_of_a_kind_are_read_once_in_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = [{"job": "j", "type": "job.started", "kind": "k"}]
    store = until(as_entries(events), 2**62)
    stored = store.hashes[store.keys.state("j")]["snapshot"]
    runs = Runs(store, BEGIN + 5000)
    asked: list[str] = []

    async def latest(kinds: Sequence[str], most: int) -> Any:
        asked.extend(kinds)
        return [[] for _ in kinds], BEGIN + 5000

    monkeypatch.setattr(runs, "latest", latest)
    looking = Hindsight(runs, store.past(), ESTIMATOR)  # type: ignore[arg-type]
    for _ in range(3):
        await looking.way("j", "a", stored, None, 10)
        await looking.snapshot("j", "a", stored, (BEGIN, 0))
    assert asked == ["k"]
    monkeypatch.setattr(hindsight, "_FRESH_SECONDS", 0.0)
    await looking.snapshot("j", "a", stored, (BEGIN, 0))
    assert asked == ["k", "k"]
