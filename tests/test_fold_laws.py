"""Laws that folding keeps for whatever producers send."""

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamproc.wire import decode, encode
from tests.support.events import as_entries, claimed_entries, event_lists
from tests.support.folding import MemoryStore

settings.register_profile("streamproc", deadline=None, max_examples=150)
settings.load_profile("streamproc")


def folded(batches: list[list[tuple[bytes, list[bytes]]]], *, forget: bool = False) -> MemoryStore:
    store = MemoryStore()
    for batch in batches:
        store.fold(batch)
        if forget:
            store.forget()
    return store


@given(event_lists, st.data())
def test_splitting_the_log_anywhere_and_going_on_from_the_store_equals_folding_it_whole(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    entries = as_entries(events)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(entries)), max_size=5)))
    parts = [entries[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
    whole = folded([entries])
    assert folded(parts, forget=True).contents() == whole.contents()
    assert folded(parts).contents() == whole.contents()


@given(claimed_entries())
@settings(max_examples=60)
def test_whose_jobs_are_and_where_they_wait_and_are_listed_does_not_go_by_how_the_log_was_split(
    entries: list[tuple[bytes, list[bytes]]],
) -> None:
    whole = folded([entries]).contents()
    one_by_one = [[entry] for entry in entries]
    assert folded(one_by_one).contents() == whole
    assert folded(one_by_one, forget=True).contents() == whole
    assert folded([entries[:5], entries[5:]], forget=True).contents() == whole


@given(event_lists)
def test_redelivery_changes_nothing_but_the_counts_of_it(events: list[dict[str, Any]]) -> None:
    numbered = [event | {"src": "only", "seq": number} for number, event in enumerate(events)]
    once, twice = folded([as_entries(numbered)]), MemoryStore()
    twice.fold(as_entries([event for event in numbered for _ in range(2)]))
    names = ("created", "started", "resumed", "progressed", "heard", "updated", "finished")
    times = {f"{name}_at" for name in names}
    ignored = {"events", "duplicates", "position", "stages", "eta"} | times
    for job in {event["job"] for event in events}:
        first, second = once.snapshot(job), twice.snapshot(job)
        assert second["duplicates"] == first["events"]
        assert {k: v for k, v in first.items() if k not in ignored} == {
            k: v for k, v in second.items() if k not in ignored
        }


@given(event_lists)
def test_percents_are_between_0_and_100_or_unknown(events: list[dict[str, Any]]) -> None:
    store = MemoryStore()
    for entry in as_entries(events):
        store.fold([entry])
        for job in {event["job"] for event in events}:
            if store.keys.state(job) not in store.hashes:
                continue
            snapshot = store.snapshot(job)
            percents = [snapshot["percent"], *(stage["percent"] for stage in snapshot["stages"])]
            for percent in percents:
                assert percent is None or (math.isfinite(percent) and 0 <= percent <= 100)


@given(event_lists)
def test_every_event_is_counted_and_in_history_under_its_position(events: list[dict[str, Any]]) -> None:
    store = folded([as_entries(events)])
    for job in {event["job"] for event in events}:
        history = store.streams[store.keys.events(job)]
        own = [entry for entry in as_entries(events) if json.loads(entry[1][1])["job"] == job]
        assert [(position.encode(), fields[1]) for position, fields in history] == [(p, f[1]) for p, f in own]
        assert store.snapshot(job)["events"] == len(own)


@given(event_lists)
def test_units_are_counted_by_their_status(events: list[dict[str, Any]]) -> None:
    store = folded([as_entries(events)])
    for job in {event["job"] for event in events}:
        counts = store.snapshot(job)["units"]
        units = [json.loads(unit) for unit in store.hashes.get(store.keys.units(job), {}).values()]
        members = [unit["status"] for unit in units if unit["status"] is not None]
        assert counts == {"total": len(members)} | {
            status: members.count(status) for status in ("pending", "running", "finished", "failed")
        }


@given(event_lists)
def test_a_final_state_changes_only_by_a_higher_attempt(events: list[dict[str, Any]]) -> None:
    store = MemoryStore()
    final: dict[str, Any] = {}
    for entry in as_entries(events):
        store.fold([entry])
        job = json.loads(entry[1][1])["job"]
        snapshot = store.snapshot(job)
        kept = {k: v for k, v in snapshot.items() if k not in {"events", "late", "duplicates", "position"}}
        if job in final and final[job]["attempt"] == snapshot["attempt"]:
            assert kept == final[job]
        final.pop(job, None)
        if snapshot["finished_at"] is not None:
            final[job] = kept


@given(event_lists)
def test_decoding_what_was_encoded_is_the_identity(events: list[dict[str, Any]]) -> None:
    for event in events:
        decoded = decode(json.dumps(event).encode())
        assert decode(encode(decoded)) == decoded
