"""What a snapshot must hold, case by case: once on the pure folds."""

import json
from typing import Any

import pytest

from streamproc.wire import partition_of
from tests.support.folding import VECTORS, MemoryStore, load_vectors, vector_entries


def expectations(vector: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    checks = [(check["after"], check["expect"]) for check in vector.get("checks", [])]
    return [*checks, (len(vector["events"]), vector["expect"])]


def assert_holds(snapshot: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, float):
            assert snapshot[name] == pytest.approx(value, abs=0.01), name
        else:
            assert snapshot[name] == value, name


@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector["name"])
def test_the_fold_gives_what_the_vector_expects(vector: dict[str, Any]) -> None:
    entries = vector_entries(vector)
    for after, expected in expectations(vector):
        store = MemoryStore()
        store.fold(entries[:after])
        assert_holds(store.snapshot(vector["job"]), expected)


@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector["name"])
def test_losing_all_memory_after_each_event_changes_nothing(vector: dict[str, Any]) -> None:
    whole, forgetful = MemoryStore(), MemoryStore()
    for entry in vector_entries(vector):
        whole.fold([entry])
        forgetful.fold([entry])
        forgetful.forget()
    assert forgetful.contents() == whole.contents()


def test_partitions_are_those_that_every_language_computes() -> None:
    vector = json.loads((VECTORS / "partitions.json").read_text())
    assert {job: partition_of(job, vector["n"]) for job in vector["partitions"]} == vector["partitions"]
