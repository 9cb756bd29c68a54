"""Slow jobs over HTTP: those that have worked for longer than is usual for their kind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projections.paths import Run, StagePath
from streamproc.gateway import overdue
from streamproc.position import millis
from tests.support.gateways import PARTITIONS, Service, serving_with_projector
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "_FRESH_SECONDS", 0.0)


async def took(service: Service, kind: str, *seconds: float) -> None:
    """Put runs of a kind into the store, as commits would have done."""
    for number, each in enumerate(seconds):
        run = Run("finished", round(1000 * each), 0, 0, [StagePath("", 0, round(1000 * each))])
        keys = service.keys.partitions[number % PARTITIONS]
        await service.client.xadd(keys.runs(kind), {"r": msgspec.json.encode(run)}, id=f"{1000 + number}-0")
        await service.client.zadd(keys.kinds, {kind: 1000 + number})


async def backdate(service: Service, job: str, seconds: float) -> None:
    """Have a job have started earlier than it did, in its snapshot and in the indexes."""
    keys = service.keys.of(job)
    stored = await service.client.hget(keys.state(job), "snapshot")
    assert stored is not None
    snapshot = msgspec.json.decode(stored)
    snapshot["eta"][1] -= round(1000 * seconds)
    await service.client.hset(keys.state(job), "snapshot", msgspec.json.encode(snapshot))
    status, kind = snapshot["status"], snapshot["kind"]
    for index in (f"status:{status}:kind:{kind}", "started"):
        await service.client.zincrby(keys.index(index), -round(1000 * seconds), job)


async def started(service: Service, job: str, kind: str, seconds_ago: float) -> None:
    await service.append({"job": job, "type": "job.started", "kind": kind})
    await backdate(service, job, seconds_ago)


async def slow(service: Service, **parameters: object) -> Any:
    response = await service.http.get("/v1/slow", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def test_jobs_are_slow_that_work_longer_than_nine_in_ten_of_their_kind_the_slowest_for_it_first(
    service: Service,
) -> None:
    await took(service, "quick", 4, 5, 5, 5, 6)
    await took(service, "long", 400, 500, 500, 500, 600)
    await started(service, "quick-one", "quick", 50)
    await started(service, "quick-fine", "quick", 3)
    await started(service, "long-one", "long", 1500)
    await started(service, "long-fine", "long", 300)
    found = await slow(service)
    assert [each["job"]["job_id"] for each in found["jobs"]] == ["quick-one", "long-one"]
    assert (found["slow"], found["stalled"], found["complete"]) == (2, 0, True)
    first = found["jobs"][0]
    assert first["usual_seconds"] == {"p50": 5.0, "p90": 5.6}
    assert 50 <= first["worked_seconds"] < 80
    assert first["times"] == round(first["worked_seconds"] / 5, 2)
    assert first["job"]["eta"]["finish_at"]
    few = await slow(service, limit=1)
    assert ([each["job"]["job_id"] for each in few["jobs"]], few["slow"]) == (["quick-one"], 2)


async def test_nothing_is_slow_of_which_too_little_is_known_or_that_is_only_a_little_longer(service: Service) -> None:
    await took(service, "new", 1, 1, 1, 1)
    await started(service, "of-few", "new", 1000)
    await took(service, "even", *[10] * 20)
    await started(service, "a-little", "even", 13)
    await took(service, "instant", *[0] * 20)
    await started(service, "at-once", "instant", 0)
    assert (await slow(service))["jobs"] == []


async def test_a_kind_whose_runs_took_no_time_has_no_multiple(service: Service) -> None:
    await took(service, "instant", *[0] * 20)
    await started(service, "stuck", "instant", 30)
    [only] = (await slow(service))["jobs"]
    assert (only["job"]["job_id"], only["times"]) == ("stuck", None)


async def test_pauses_dont_count_and_what_is_paused_stalled_or_over_isnt_slow(service: Service) -> None:
    await took(service, "k", 5, 5, 5, 5, 5)
    for job in ("paused", "over", "back"):
        await started(service, job, "k", 60)
    await started(service, "stalled", "k", 0)
    await service.append({"job": "stalled", "type": "job.stalled", "silent_seconds": 0})
    await backdate(service, "stalled", 60)
    [at] = await service.append({"job": "paused", "type": "job.paused"})
    await service.append({"job": "over", "type": "job.finished"})
    keys = service.keys.of("back")
    stored = await service.client.hget(keys.state("back"), "snapshot")
    assert stored is not None
    snapshot = msgspec.json.decode(stored)
    snapshot["eta"][2] = millis(at) - snapshot["eta"][1]  # it was away nearly all the while
    await service.client.hset(keys.state("back"), "snapshot", msgspec.json.encode(snapshot))
    found = await slow(service)
    assert (found["jobs"], found["stalled"]) == ([], 1)


async def test_no_more_is_looked_at_than_is_bounded_and_that_is_said(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "_MOST_LOOKED_AT", 2)
    await took(service, "k", 5, 5, 5, 5, 5)
    for number in range(4):
        await started(service, f"j{number}", "k", 60 + number)
    found = await slow(service)
    assert {each["job"]["job_id"] for each in found["jobs"]} == {"j3", "j2"}
    assert (found["slow"], found["complete"]) == (2, False)


async def test_what_is_slow_is_told_to_who_may_know_of_kinds(server_url: str, namespace: str, tmp_path: Path) -> None:
    keys = [
        toml_key("all", "jobs:read"),
        toml_key("kind", "jobs:read", kinds=["mine"]),
        toml_key("owner", "jobs:read", owners=["ann"]),
    ]
    async with guarded(server_url, namespace, auth_file(tmp_path, *keys)) as (service, http):
        for kind in ("mine", "theirs"):
            await took(service, kind, 5, 5, 5, 5, 5)
            await started(service, kind, kind, 60)

        async def told(key: str) -> tuple[object, list[str]]:
            found = (await http.get("/v1/slow", headers=bearer(key_of(key)))).json()
            return found["slow"], sorted(each["job"]["job_id"] for each in found["jobs"])

        assert await told("all") == (2, ["mine", "theirs"])
        assert await told("kind") == (1, ["mine"])
        assert await told("owner") == (None, [])
