"""Folding a batch: what is loaded and kept in memory, dead letters, and finding the event that fails."""

from collections.abc import Sequence
from typing import Any

import pytest

from projections import ALL
from projections.snapshot import Snapshot
from streamproc.events import RecordedEvent
from streamproc.folding import Batch, Cache, Poison, Slot, Wanted
from streamproc.keys import Keys
from streamproc.store import Commit
from streamproc.wire import partition_of
from tests.support.events import as_entries
from tests.support.folding import MemoryStore

KEYS = Keys("sp", 1).partitions[0]
PLENTY = 2**40


def batch_of(*events: dict[str, Any]) -> Batch:
    return Batch(as_entries([{"job": "j", "type": "job.noted"} | event for event in events]))


def place(cache: Cache, wanted: Sequence[Wanted]) -> None:
    """Put in place what a store that is empty would answer."""
    for want in wanted:
        state, units = (fields for _, fields in cache.hashes(want, KEYS))
        cache.place(want, [None] * len(state), [None] * len(units))


def taken(cache: Cache, batch: Batch) -> dict[str, Slot]:
    """Fold a batch of jobs of which nothing is stored, and keep them, as while its commit is on its way."""
    touched = folded(cache, batch)
    cache.keep(touched)
    return touched


def folded(cache: Cache, batch: Batch, partition: int = 0, partitions: int = 1) -> dict[str, Slot]:
    touched, wanted = cache.enter(batch, partition, partitions)
    place(cache, wanted)
    cache.fold(batch, touched, carefully=False)
    cache.save(batch, touched, Commit(KEYS, "", "", batch.end, batch.size))
    return touched


def wanted_by(store: MemoryStore, *events: dict[str, Any]) -> list[tuple[str, bool, list[str], list[str]]]:
    """Job, whether its state is wanted, the sources and the units."""
    _, wanted = store.cache.enter(batch_of(*events), 0, 1)
    return [(want.slot.job, want.state, list(want.sources), list(want.units)) for want in wanted]


# What is loaded


def test_a_job_that_isnt_in_memory_is_loaded_with_just_the_sources_and_units_of_the_batch() -> None:
    events: list[dict[str, Any]] = [
        {"src": "a", "seq": 1},
        {"src": "a", "seq": 2},
        {"unit": "u", "src": "unnumbered"},
        {"job": "k", "src": "b", "seq": 1},
        {"unit": "v", "src": "c", "seq": 1},
    ]
    assert wanted_by(MemoryStore(), *events) == [("j", True, ["a", "c"], ["u", "v"]), ("k", True, ["b"], [])]


def test_of_a_new_job_nothing_is_ever_loaded_again() -> None:
    store = MemoryStore()
    store.fold(as_entries([{"job": "j", "type": "unit.started", "unit": "u", "src": "a", "seq": 1}]))
    assert wanted_by(store, {"unit": "other", "src": "other", "seq": 1}) == []


def test_of_a_job_in_memory_only_unknown_sources_and_units_are_loaded() -> None:
    store = MemoryStore()
    events = [{"job": "j", "type": "unit.started", "unit": unit, "src": unit, "seq": 1} for unit in ("u", "v")]
    store.fold(as_entries(events))
    store.forget()
    store.fold(as_entries([{"job": "j", "type": "unit.progressed", "unit": "u", "src": "u", "seq": 2}]))
    both = [{"unit": "u", "src": "u", "seq": 3}, {"unit": "v", "src": "v", "seq": 3}]
    assert wanted_by(store, *both) == [("j", False, ["v"], ["v"])]


def test_a_unit_that_was_found_not_to_exist_isnt_looked_for_again() -> None:
    store = MemoryStore()
    store.fold(as_entries([{"job": "j", "type": "unit.started", "unit": "u"}]))
    store.forget()
    store.fold(as_entries([{"job": "j", "type": "job.noted", "unit": "absent"}]))
    assert wanted_by(store, {"unit": "absent"}) == []


def test_the_units_of_an_attempt_that_is_over_are_not_loaded() -> None:
    store = MemoryStore()
    store.fold(as_entries([{"job": "j", "type": "unit.started", "unit": "u"}]))
    store.forget()
    store.fold(as_entries([{"job": "j", "type": "job.started", "attempt": 2}]))
    assert wanted_by(store, {"unit": "u"}) == []


def test_a_job_without_units_wants_none() -> None:
    store = MemoryStore()
    store.fold(as_entries([{"job": "j", "type": "job.started"}]))
    store.forget()
    store.fold(as_entries([{"job": "j", "type": "job.noted"}]))
    assert wanted_by(store, {"unit": "u"}) == []


# What stays in memory


def test_the_least_recently_used_jobs_are_evicted_when_the_cache_weighs_too_much() -> None:
    cache = Cache(ALL, PLENTY)
    for job in "abcd":
        cache.unpin(taken(cache, batch_of({"job": job})))
    one = cache.weight // 4
    cache.unpin(taken(cache, batch_of({"job": "a"})))
    cache.max_bytes = 3 * one + one // 2
    assert cache.overweight
    cache.unpin(taken(cache, batch_of({"job": "d"})))
    assert not cache.overweight
    assert [job for job in "abcd" if not cache.enter(batch_of({"job": job}), 0, 1)[1]] == ["a", "c", "d"]
    assert len(cache) == 3


def test_a_job_of_a_commit_on_its_way_is_not_evicted() -> None:
    cache = Cache(ALL, 1)
    first = taken(cache, batch_of({"job": "a"}))
    second = taken(cache, batch_of({"job": "a"}, {"job": "b"}))
    cache.unpin(first)
    assert (len(cache), cache.overweight) == (2, True)
    cache.unpin(second)
    assert (len(cache), cache.weight, cache.overweight) == (0, 0, False)


@pytest.mark.parametrize(
    ("event", "least"),
    [
        ({"type": "unit.added", "unit": "u"}, 390),
        ({"type": "stage.started", "stage": "s"}, 500),
        ({"type": "job.counted", "indicator": "i"}, 200),
        ({"type": "job.started", "attempt": 2}, 400),
        ({"src": "s", "seq": 1}, 150),
        ({"details": {"text": "x" * 5000}}, 5000),
        ({"type": "job.finished", "result": ["x" * 5000]}, 5000),
    ],
    ids=str,
)
def test_a_job_weighs_what_it_holds(event: dict[str, Any], least: int) -> None:
    cache = Cache(ALL, PLENTY)
    cache.unpin(taken(cache, batch_of({})))
    before = cache.weight
    cache.unpin(taken(cache, batch_of(event)))
    assert cache.weight - before >= least


def test_what_is_forgotten_or_dropped_weighs_nothing() -> None:
    cache = Cache(ALL, PLENTY)
    touched = taken(cache, batch_of({"job": "a"}))
    cache.unpin(touched)
    cache.unpin(taken(cache, batch_of({"job": "b"})))
    cache.forget(touched)
    assert len(cache) == 1
    cache.drop(0)
    assert (len(cache), cache.weight) == (0, 0)


def test_dropping_a_partition_leaves_the_others() -> None:
    jobs = {partition_of(job, 2): job for job in "abcdefgh"}
    cache = Cache(ALL, PLENTY)
    for partition, job in jobs.items():
        cache.keep(folded(cache, batch_of({"job": job}), partition, 2))
    cache.drop(0)
    assert len(cache) == 1
    assert cache.enter(batch_of({"job": jobs[1]}), 1, 2)[1] == []


def test_a_job_evicted_while_its_next_batch_is_folded_weighs_itself_whole_when_it_is_kept_again() -> None:
    cache = Cache(ALL, 1)
    first = taken(cache, batch_of({}))
    second = folded(cache, batch_of({}))
    cache.unpin(first)
    assert len(cache) == 0
    cache.keep(second)
    assert cache.weight == second["j"].weight


# Dead letters


def dead_of(store: MemoryStore) -> list[tuple[str, list[bytes]]]:
    return store.streams.get(store.keys.dead, [])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([b"e", b"{"], b"is not JSON"),
        ([b"e", b"[]"], b"Expected `object`"),
        ([b"e", b'{"type":"job.noted"}'], b"job: is required"),
        ([b"e", b'{"job":"j","type":"stage.started"}'], b"stage: stage.started needs it"),
        ([b"event", b'{"job":"j","type":"job.noted"}'], b"an entry has one field, e"),
        ([b"e", b'{"job":"j","type":"job.noted"}', b"f", b"1"], b"an entry has one field, e"),
        ([b"e", b"\xff\x00"], b"is not JSON"),
    ],
)
def test_what_cant_be_decoded_is_kept_with_its_reason_and_the_rest_goes_on(fields: list[bytes], reason: bytes) -> None:
    store = MemoryStore()
    good = as_entries([{"job": "j", "type": "job.noted"}] * 2)
    store.fold([good[0], (b"1763750000500-0", fields), good[1]])
    [(position, letter)] = dead_of(store)
    assert (position, letter[0], letter[2:]) == ("1763750000500-0", b"reason", fields)
    assert reason in letter[1]
    assert store.snapshot("j")["events"] == 2


def test_an_event_in_another_partition_than_its_jobs_is_a_dead_letter() -> None:
    job = next(job for job in "abcdefgh" if partition_of(job, 2) == 1)
    own = next(job for job in "abcdefgh" if partition_of(job, 2) == 0)
    store = MemoryStore(0, 2)
    store.fold(as_entries([{"job": job, "type": "job.noted"}, {"job": own, "type": "job.noted"}]))
    [(_, letter)] = dead_of(store)
    assert letter[1] == b"job: lives in partition 1, not 0"
    assert (store.snapshot(own)["events"], store.keys.state(job) in store.hashes) == (1, False)


def test_dead_letters_are_kept_in_the_order_of_the_log() -> None:
    job = next(job for job in "abcdefgh" if partition_of(job, 2) == 1)
    store = MemoryStore(0, 2)
    payloads = [b'{"job":"%s","type":"job.noted"}' % job.encode(), b"not an event"] * 6
    store.fold((f"1763750000000-{number}".encode(), [b"e", payload]) for number, payload in enumerate(payloads))
    assert [position for position, _ in dead_of(store)] == [f"1763750000000-{n}" for n in range(12)]


# The event that fails


class Brittle(Snapshot):
    """Fails half way through an event of a certain message; or, with `late`, only when it is encoded."""

    def __init__(self, late: bool) -> None:
        self.late = late

    def evolve(self, state: Any, recorded: RecordedEvent, /) -> None:
        super().evolve(state, recorded)
        if recorded.event.message == "break":
            if not self.late:
                raise KeyError("broken")
            state.job.details = {"n": object()}


@pytest.mark.parametrize("late", [False, True], ids=["in folding", "in encoding"])
def test_folding_carefully_names_the_event_that_fails(late: bool) -> None:
    cache = Cache((Brittle(late), *ALL[1:]), PLENTY)
    batch = batch_of({}, {"message": "break"}, {}, {"message": "break"})
    touched, wanted = cache.enter(batch, 0, 1)
    place(cache, wanted)
    with pytest.raises(Poison) as found:
        cache.fold(batch, touched, carefully=True)
    assert found.value.position == "1763750000700-0"
    assert found.value.reason.startswith("cannot be folded: ")
    assert ("KeyError" if not late else "TypeError") in found.value.reason


def test_without_the_event_that_fails_the_batch_folds_as_if_it_had_never_been_there() -> None:
    cache = Cache((Brittle(late=False), *ALL[1:]), PLENTY)
    events = [{"src": "s", "seq": 1}, {"src": "s", "seq": 1}, {"message": "break", "src": "s", "seq": 2}, {"type": "x"}]
    batch = batch_of(*events)
    for _ in range(2):
        touched, wanted = cache.enter(batch, 0, 1)
        place(cache, wanted)
        try:
            cache.fold(batch, touched, carefully=True)
        except Poison as poison:
            batch.bury({poison.position: poison.reason})
            cache.forget(touched)
            batch.unmark()
    assert [letter.position for letter in batch.dead] == ["1763750001400-0"]
    assert [recorded.mark for recorded in batch.events["j"]] == [None, "duplicate", "unknown"]
    assert touched["j"].sources == {"s": 1}


def test_a_mark_that_came_of_the_event_that_fails_goes_with_it() -> None:
    cache = Cache((Brittle(late=True), *ALL[1:]), PLENTY)
    batch = batch_of({"type": "job.canceled", "message": "break"}, {"type": "job.progressed"})
    with pytest.raises(TypeError):
        folded(cache, batch)
    assert [recorded.mark for recorded in batch.events["j"]] == [None, "late"]
    batch.unmark()
    batch.bury({"1763750000000-0": "cannot be folded"})
    folded(cache, batch)
    assert [recorded.mark for recorded in batch.events["j"]] == [None]


def test_folding_carefully_gives_what_folding_gives() -> None:
    commits = []
    for carefully in (False, True):
        cache = Cache(ALL, PLENTY)
        batch = batch_of({"type": "unit.started", "unit": "u", "src": "s", "seq": 1}, {"src": "s", "seq": 1})
        touched, wanted = cache.enter(batch, 0, 1)
        place(cache, wanted)
        cache.fold(batch, touched, carefully=carefully)
        commit = Commit(KEYS, "", "", batch.end, batch.size)
        cache.save(batch, touched, commit)
        commits.append(commit.arguments())
    assert commits[0] == commits[1]
