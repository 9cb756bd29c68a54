"""What a snapshot must hold, case by case: on the pure folds, and through server, projector and gateway."""

import json
from typing import Any

import pytest

from streamproc.wire import partition_of
from tests.support.folding import VECTORS, MemoryStore, load_vectors, vector_entries
from tests.support.gateways import serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server


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


@pytest.mark.anyio
@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector["name"])
async def test_the_gateway_serves_what_the_vector_expects(
    any_server: Server, namespace: str, vector: dict[str, Any]
) -> None:
    async with serving_with_projector(any_server.url, namespace) as service:
        begin = 0
        for after, expected in expectations(vector):
            events = [{"job": vector["job"]} | event for event in vector["events"][begin:after]]
            answer = await service.http.post("/v1/events", json=events)
            assert answer.status_code == 201
            begin = after
            await caught_up(service.client, service.keys)
            assert_holds((await service.http.get(f"/v1/jobs/{vector['job']}")).json(), expected)


def test_partitions_are_those_that_every_language_computes() -> None:
    vector = json.loads((VECTORS / "partitions.json").read_text())
    assert {job: partition_of(job, vector["n"]) for job in vector["partitions"]} == vector["partitions"]
