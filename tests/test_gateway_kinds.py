"""Kinds over HTTP: their active jobs, their runs, and the wait of those in the queue."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from projections.paths import Run, StagePath
from streamproc.gateway import kinds
from streamproc.runs import Runs
from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

BRIEF = {
    "kind", "active", "average_percent", "average_of", "runs", "finished", "duration_seconds", "silent_seconds",
    "failure_rate", "last_ended_at",
}  # fmt: skip
DETAILS = BRIEF | {"waited_seconds", "stages", "latest", "calibration"}
NONE_ACTIVE = {"queued": 0, "started": 0, "running": 0, "paused": 0}


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def get(service: Service, path: str) -> Any:
    response = await service.http.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-cache"
    return response.json()


async def one(service: Service, kind: str) -> Any:
    """A kind, in the list and by itself: what both tell is the same."""
    [listed] = [each for each in (await get(service, "/v1/kinds"))["kinds"] if each["kind"] == kind]
    alone = await get(service, f"/v1/kinds/{kind}")
    assert set(listed) == BRIEF
    assert set(alone) == DETAILS
    assert {name: alone[name] for name in BRIEF} == listed
    return alone


async def ended(service: Service, kind: str, *seconds: float, waited: float = 0) -> None:
    """Put runs of a kind into the store, spread over the partitions, as commits would have done."""
    for number, each in enumerate(seconds):
        keys = service.keys.partitions[number % len(service.keys.partitions)]
        run = Run("finished", round(1000 * each), round(1000 * waited), 0, [StagePath("", 0, round(1000 * each))])
        position = f"{1_763_750_000_000 + 1000 * number}-0"
        await service.client.xadd(keys.runs(kind), {"r": msgspec.json.encode(run)}, id=position)
        await service.client.zadd(keys.kinds, {kind: 1_763_750_000_000 + 1000 * number})


async def test_a_kind_tells_its_active_jobs_by_status_and_the_average_of_those_that_have_begun(
    service: Service,
) -> None:
    await service.append(
        *({"job": f"waiting-{number}", "type": "job.queued", "kind": "k"} for number in range(3)),
        {"job": "a", "type": "job.started", "kind": "k"},
        {"job": "b", "type": "job.started", "kind": "k"},
        {"job": "b", "type": "job.progressed", "percent": 20},
        {"job": "c", "type": "job.started", "kind": "k"},
        {"job": "c", "type": "job.progressed", "percent": 65.5},
        {"job": "c", "type": "job.paused"},
        {"job": "over", "type": "job.finished"},
        {"job": "other", "type": "job.started", "kind": "other"},
        {"job": "other", "type": "job.progressed", "percent": 99},
    )
    found = await one(service, "k")
    assert found["active"] == {"queued": 3, "started": 1, "running": 1, "paused": 1}
    assert (found["average_percent"], found["average_of"]) == (42.75, 2)


async def test_a_kind_is_listed_from_its_first_job_on(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued", "kind": "new"})
    assert await one(service, "new") == {
        "kind": "new",
        "active": NONE_ACTIVE | {"queued": 1},
        "average_percent": None,
        "average_of": 0,
        "runs": 0,
        "finished": 0,
        "duration_seconds": None,
        "silent_seconds": None,
        "failure_rate": None,
        "last_ended_at": None,
        "waited_seconds": None,
        "stages": [],
        "latest": [],
        "calibration": {"predictions": 0, "p50_held": None, "p90_held": None},
    }


async def test_a_kind_tells_the_runs_of_its_jobs_in_all_partitions(service: Service) -> None:
    for number in range(10):
        job = f"job-{number}"
        await service.append({"job": job, "type": "job.started", "kind": "k", "stages": [{"name": "A"}, {"name": "B"}]})
        await service.append({"job": job, "type": "stage.finished", "stage": "A"})
        await service.append({"job": job, "type": "stage.skipped" if number < 4 else "stage.finished", "stage": "B"})
        [last] = await service.append({"job": job, "type": "job.failed" if number > 7 else "job.finished"})
    found = await one(service, "k")
    assert (found["runs"], found["failure_rate"], found["active"]) == (10, 0.2, NONE_ACTIVE)
    assert found["duration_seconds"]["p50"] > 0
    assert [(stage["name"], stage["runs"], stage["skipped"]) for stage in found["stages"]] == [
        ("A", 8, 0.0),
        ("B", 8, 0.5),
    ]
    assert [run["outcome"] for run in found["latest"]] == ["failed"] * 2 + ["finished"] * 8
    assert found["latest"][0]["ended_at"] == found["last_ended_at"]
    ends = [run["ended_at"] for run in found["latest"]]
    assert ends == sorted(ends, reverse=True)
    assert found["calibration"]["predictions"] > 0
    snapshot = (await service.http.get("/v1/jobs/job-9")).json()
    assert (snapshot["position"], snapshot["finished_at"]) == (last, found["last_ended_at"])


async def test_kinds_are_listed_by_name_page_by_page(service: Service) -> None:
    names = ["b", "a/b", "Ä", "z z", "a", "0:x", "k7"]
    await service.append(*({"job": f"job-{at}", "type": "job.queued", "kind": kind} for at, kind in enumerate(names)))
    found: list[str] = []
    url = "/v1/kinds?limit=2"
    while url:
        response = await service.http.get(url)
        page = response.json()
        found += [each["kind"] for each in page["kinds"]]
        assert ("next" in response.links) == (page["next"] is not None)
        url = response.links["next"]["url"] if page["next"] else ""
    assert found == sorted(names)
    assert await get(service, "/v1/kinds?limit=7") == await get(service, "/v1/kinds")


async def test_any_name_of_a_kind_can_be_asked_for(service: Service) -> None:
    for kind, path in (("a/b", "a%2Fb"), ("a b?c", "a%20b%3Fc"), ("Grün", "Gr%C3%BCn"), ("100%", "100%25")):
        await service.append({"job": "j", "type": "job.queued", "kind": kind})
        assert (await get(service, f"/v1/kinds/{path}"))["kind"] == kind


@pytest.mark.parametrize("kind", ["nobody", "a%2Fb", "x" * 300, "", "%FF"])
async def test_a_kind_that_nobody_has_used_is_a_problem_404(service: Service, kind: str) -> None:
    await service.append({"job": "a", "type": "job.queued", "kind": "k"})
    response = await service.http.get(f"/v1/kinds/{kind}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["type"] == "urn:streamproc:problem:unknown-kind"


async def test_without_jobs_there_are_no_kinds(service: Service) -> None:
    assert await get(service, "/v1/kinds") == {"kinds": [], "next": None}


async def test_a_kind_whose_runs_were_forgotten_is_known_by_its_jobs(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued", "kind": "k"})
    for keys in service.keys.partitions:
        await service.client.delete(keys.kinds)
    assert (await get(service, "/v1/kinds/k"))["active"] == NONE_ACTIVE | {"queued": 1}


async def test_the_average_is_of_a_bounded_number_of_jobs(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_MOST_AVERAGED", 3)
    for number in range(8):
        await service.append({"job": f"job-{number}", "type": "job.started", "kind": "k"})
        await service.append({"job": f"job-{number}", "type": "job.progressed", "percent": number * 10})
    found = await one(service, "k")
    assert (found["active"]["running"], found["average_percent"], found["average_of"]) == (8, 60.0, 3)


async def test_the_latest_runs_are_found_however_they_are_spread(service: Service) -> None:
    """Of each partition only as many are read as will mostly do, but what that leaves out is read where it matters."""
    await ended(service, "even", *range(1, 90))
    encoded = msgspec.json.encode(Run("finished", 1, 0, 0, []))
    for number in range(60):
        keys = service.keys.partitions[0 if number < 59 else 1]
        await service.client.xadd(keys.runs("uneven"), {"r": encoded}, id=f"{2_000 + number}-0")
    (even, uneven, none), _ = await Runs(service.client, service.keys).latest(["even", "uneven", "none"], 20)
    assert [json.loads(run)[1] for _, run in even] == [1000 * number for number in range(70, 90)]
    assert [ended for ended, _ in uneven] == [2_000 + number for number in range(40, 60)]
    assert none == []


async def test_a_queued_job_is_told_when_it_will_start(service: Service) -> None:
    await ended(service, "k", 1, 1, 1, 1, 1, waited=3600)
    await service.append({"job": "j", "type": "job.queued", "kind": "k"})
    [job] = (await get(service, "/v1/jobs"))["jobs"]
    assert job["eta"]["reason"] == "queued"
    assert job["created_at"] < job["eta"]["start_at"]["p50"] == job["eta"]["start_at"]["p90"]
    assert (await get(service, "/v1/kinds/k"))["waited_seconds"] == {"p50": 3600.0, "p90": 3600.0}
