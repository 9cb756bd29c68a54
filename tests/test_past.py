"""What a job was at a position: its history folded to there, in pages, with states kept on the way."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import SNAPSHOT
from streamproc import past
from streamproc.errors import PastGone, PastPending
from streamproc.keys import Keys
from streamproc.past import Past
from streamproc.position import key
from tests.support.events import as_entries, event_lists
from tests.support.folding import MemoryStore

pytestmark = pytest.mark.anyio


class Histories(MemoryStore):
    """Where a `Past` reads histories: those that commits wrote. It counts what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.read_entries = 0

    async def history(self, job: str, after: str, count: int) -> Sequence[Any]:
        stream = self.streams.get(self.keys.events(job), [])
        found = [(position.encode(), fields) for position, fields in stream if key(position) > key(after)][:count]
        self.read_entries += len(found)
        return found

    async def history_length(self, job: str) -> int:
        return len(self.streams.get(self.keys.events(job), []))

    def past(self) -> Past:
        return Past(self, Keys("sp", 1), SNAPSHOT)  # type: ignore[arg-type]

    async def look(self, past: Past, position: str, job: str = "j1", life: str = "a") -> Any:
        snapshot = await past.snapshot(job, life, self.hashes[self.keys.state(job)]["snapshot"], key(position))
        return None if snapshot is None else json.loads(snapshot)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_PAGE": 4, "APART": 3, "MOST_EVENTS": 1000}.items():
        monkeypatch.setattr(past, name, value)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(event_lists, st.randoms(use_true_random=False))
async def test_a_job_looks_at_each_position_as_it_looked_then(events: list[dict[str, Any]], random: Any) -> None:
    store = Histories()
    then: list[tuple[str, str, Any]] = []
    for entry in as_entries(events):
        store.fold([entry])
        job = json.loads(entry[1][1])["job"]
        then.append((job, entry[0].decode(), store.snapshot(job) | {"eta": None}))
    random.shuffle(then)  # so that kept states are met in every order
    past = store.past()
    for job, position, snapshot in then:
        assert await store.look(past, position, job) == snapshot


def filled(count: int, **fields: Any) -> Histories:
    store = Histories()
    store.fold(as_entries([{"job": "j1", "type": "job.progressed", "percent": n % 100} | fields for n in range(count)]))
    return store


def position(number: int) -> str:
    """Of the event with that number: see `as_entries`."""
    return f"{1_763_750_000_000 + 700 * number}-0"


async def test_between_two_events_it_is_what_the_first_made_of_it_and_before_all_it_is_nothing() -> None:
    store = filled(5)
    past = store.past()
    assert (await store.look(past, f"{1_763_750_000_000 + 1500}-7"))["events"] == 3
    assert await store.look(past, "1763749999999-9") is None
    assert (await store.look(past, "9999999999999-0"))["events"] == 5


async def test_another_look_back_begins_at_a_state_that_was_kept() -> None:
    store = filled(200)
    past = store.past()
    assert (await store.look(past, position(190)))["events"] == 191
    store.read_entries = 0
    assert (await store.look(past, position(189)))["events"] == 190
    assert store.read_entries < 40


async def test_units_and_sources_are_remembered_where_a_look_back_begins_in_the_middle() -> None:
    store = Histories()
    events: list[dict[str, Any]] = [
        {
            "job": "j1",
            "type": "unit.progressed",
            "unit": f"u{number % 7}",
            "percent": number % 100,
            "src": "s",
            "seq": n,
        }
        for number in range(60)
        for n in (number, number, number)
    ]
    then = {}
    for number, entry in enumerate(as_entries(events)):
        store.fold([entry])
        then[number] = store.snapshot("j1") | {"eta": None}
    past = store.past()
    for number in (179, 178, 90, 101, 40, 42):
        assert await store.look(past, position(number)) == then[number]


async def test_a_long_history_is_folded_over_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MOST_EVENTS", 40)
    store = filled(190)
    looking = store.past()
    pending = 0
    while True:
        try:
            assert (await store.look(looking, position(189)))["events"] == 190
            break
        except PastPending:
            pending += 1
            assert pending < 10
    assert pending == 4


async def test_a_state_that_outgrows_what_may_be_kept_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MOST_EVENTS", 40)
    monkeypatch.setattr(past, "_KEPT_BYTES", 1)
    store = filled(100)
    looking = store.past()
    for _ in range(2):
        with pytest.raises(PastPending):
            await store.look(looking, position(99))
    assert (await store.look(looking, position(99)))["events"] == 100
    assert len(next(iter(looking._kept.values()))) == 1


async def test_what_was_kept_of_a_history_that_was_lost_since_counts_no_more() -> None:
    store = filled(100)
    past = store.past()
    await store.look(past, position(99))
    again = filled(30)
    store.streams, store.hashes = again.streams, again.hashes
    changed = [{"job": "j1", "type": "job.finished"}]
    store.forget()
    store.fold([(position(200).encode(), entry[1]) for entry in as_entries(changed)])
    assert (await store.look(past, position(200)))["events"] == 31


async def test_what_was_kept_of_another_life_of_the_partition_counts_no_more() -> None:
    store = filled(100)
    past = store.past()
    await store.look(past, position(99), life="a")
    again = filled(100, message="another")
    store.streams, store.hashes = again.streams, again.hashes
    assert (await store.look(past, position(99), life="b"))["message"] == "another"


async def test_a_history_without_its_beginning_is_gone() -> None:
    store = filled(10)
    del store.streams[store.keys.events("j1")][:3]
    with pytest.raises(PastGone):
        await store.look(store.past(), position(9))
    store.streams.clear()
    with pytest.raises(PastGone):
        await store.look(store.past(), position(9))
