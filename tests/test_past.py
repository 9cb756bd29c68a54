"""What a job was at a position: its history folded to there, in pages, with states kept on the way."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamproc import past
from streamproc.errors import PastGone, PastPending
from streamproc.position import key
from tests.support.events import as_entries, event_lists
from tests.support.histories import Histories

pytestmark = pytest.mark.anyio


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
        then.append((job, entry[0].decode(), store.snapshot(job)))
    random.shuffle(then)  # so that kept states are met in every order
    past = store.past()
    for job, position, snapshot in then:
        assert await store.look(past, position, job) == snapshot


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(event_lists, st.lists(st.integers(-2, 45), min_size=1), st.integers(1, 9), st.booleans())
async def test_a_walk_tells_what_looks_would_tell(
    events: list[dict[str, Any]], stops: list[int], every: int, is_cut: bool
) -> None:
    store = Histories()
    store.fold(as_entries([event | {"job": "j1"} for event in events]))
    if not events:
        return
    past, told = store.past(), []
    now = store.hashes[store.keys.state("j1")]["snapshot"]
    ends = [key(position(stop)) for stop in sorted({*stops, 99})]

    async def seen(end: Any, snapshot: bytes | None) -> None:
        told.append((end, None if snapshot is None else json.loads(snapshot)))

    await past.walk("j1", "a", now, ends, seen, every=every if is_cut else None)
    assert [end for end, _ in told] == sorted(end for end, _ in told)
    assert {end for end, _ in told} >= set(ends)
    counted = {place for number, place in enumerate(places(store), 1) if is_cut and number % every == 0}
    assert {end for end, _ in told} == counted | set(ends)
    for end, snapshot in told:
        assert snapshot == await store.look(store.past(), f"{max(end[0], 0)}-{end[1]}")


def places(store: Histories) -> list[tuple[int, int]]:
    return [key(position) for position, _ in store.streams[store.keys.events("j1")]]


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
        then[number] = store.snapshot("j1")
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


async def test_a_walk_over_a_long_history_goes_on_where_it_came_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MOST_EVENTS", 40)
    store = filled(190)
    looking, told = store.past(), []
    now = store.hashes[store.keys.state("j1")]["snapshot"]
    ends = [key(position(number)) for number in range(0, 190, 10)]

    async def seen(end: Any, snapshot: bytes | None) -> None:
        assert snapshot is not None
        told.append((end, json.loads(snapshot)["events"]))

    for _ in range(4):
        with pytest.raises(PastPending):
            await looking.walk("j1", "a", now, ends[len(told) :], seen)
    before = store.read_entries
    await looking.walk("j1", "a", now, ends[len(told) :], seen)
    assert told == [(end, 10 * number + 1) for number, end in enumerate(ends)]
    assert store.read_entries - before < 60


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
