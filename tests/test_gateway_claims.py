"""Claims over HTTP: who gets which job, for how long, and what becomes of the others."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from streamproc.connection import call, connect
from streamproc.log import open_namespace
from tests.support.folding import refolded, stored
from tests.support.gateways import PARTITIONS, Service, serving, serving_with_projector
from tests.support.running import caught_up, eventually, projecting
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(any_server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(any_server.url, namespace) as running:
        yield running


async def queue(service: Service, *jobs: str, **fields: Any) -> None:
    for job in jobs:
        await service.append({"job": job, "type": "job.queued"} | fields)
    await caught_up(service.client, service.keys)


async def claim(service: Service, worker: str = "w", **fields: Any) -> dict[str, Any] | None:
    """What a worker gets; None where there is nothing."""
    response = await service.http.post("/v1/claims", json={"worker": worker} | fields)
    assert response.status_code in (200, 204), response.text
    return response.json() if response.status_code == 200 else None


async def say(service: Service, job: str, event: str, **fields: Any) -> int:
    response = await service.http.post("/v1/events", json={"job": job, "type": event} | fields)
    await caught_up(service.client, service.keys)
    return response.status_code


async def snapshot(service: Service, job: str) -> dict[str, Any]:
    found: dict[str, Any] = (await service.http.get(f"/v1/jobs/{job}")).json()
    return found


async def marks(service: Service, job: str) -> list[tuple[str, str | None]]:
    found = (await service.http.get(f"/v1/jobs/{job}/events")).json()["events"]
    return [(each["event"]["type"], each.get("mark")) for each in found]


# Which job ---------------------------------------------------------------------------------------------------------


async def test_the_next_job_is_the_one_of_the_highest_priority_and_among_equals_the_oldest(service: Service) -> None:
    await queue(service, "old")
    await queue(service, "urgent-1", priority=5)
    await queue(service, "later", priority=-1)
    await queue(service, "urgent-2", priority=5)
    await queue(service, "young")
    found = [await claim(service) for _ in range(6)]
    assert [each["job"]["job_id"] for each in found if each] == ["urgent-1", "urgent-2", "old", "young", "later"]
    assert found[-1] is None


async def test_a_worker_gets_what_it_needs_to_know_of_its_job(service: Service) -> None:
    await queue(service, "a", kind="import", params={"file": "x.csv"}, title="Import")
    claimed = await claim(service, "w1", lease_seconds=30)
    assert claimed is not None
    assert (claimed["params"], claimed["worker"], claimed["attempt"]) == ({"file": "x.csv"}, "w1", 1)
    assert claimed["lease_seconds"] == 30
    job = claimed["job"]
    assert (job["job_id"], job["status"], job["worker"], job["title"]) == ("a", "started", "w1", "Import")
    assert claimed["expires_at"] > job["started_at"]
    assert await stored(service.client, service.keys) == await refolded(service.client, service.keys)


async def test_only_jobs_of_the_kinds_that_a_worker_names_are_its(service: Service) -> None:
    await queue(service, "import", kind="import")
    await queue(service, "render", kind="render", priority=9)
    await queue(service, "neither")
    assert (await claim(service, kinds=["import", "scan"]) or {})["job"]["job_id"] == "import"
    assert await claim(service, kinds=["import", "scan"]) is None
    assert (await claim(service) or {})["job"]["job_id"] == "render"
    assert (await claim(service) or {})["job"]["job_id"] == "neither"


async def test_only_what_somebody_has_queued_can_be_claimed(service: Service) -> None:
    await service.append({"job": "noted", "type": "job.noted", "message": "hello"})
    await service.append({"job": "asked", "type": "job.cancel_requested"})
    await queue(service, "begun", "ended")
    await service.append({"job": "begun", "type": "job.progressed", "percent": 1})
    await service.append({"job": "ended", "type": "job.canceled"})
    assert await claim(service) is None


async def test_a_worker_may_wait_for_a_job(service: Service) -> None:
    found: list[Any] = []

    async def wait(worker: str) -> None:
        found.append(await claim(service, worker, kinds=["k"], wait=20))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(wait, f"w{number}")
        for number in range(5):
            await service.append({"job": f"j{number}", "type": "job.queued", "kind": "k"})
    assert sorted(each["job"]["job_id"] for each in found) == [f"j{number}" for number in range(5)]
    assert len({each["worker"] for each in found}) == 5


BAD: list[tuple[Any, str | None]] = [
    ({}, "worker"),
    ({"worker": ""}, "worker"),
    ({"worker": "a\nb"}, "worker"),
    ({"worker": "w", "lease_seconds": 0.9}, "lease_seconds"),
    ({"worker": "w", "lease_seconds": 86_401}, "lease_seconds"),
    ({"worker": "w", "wait": -1}, "wait"),
    ({"worker": "w", "wait": 61}, "wait"),
    ({"worker": "w", "kinds": [""]}, "kinds[0]"),
    ({"worker": "w", "kinds": ["a\nb"]}, "kind"),
    ({"worker": "w", "lease": 1}, None),
    ([], None),
]


@pytest.mark.parametrize("jobs", [[], ["a"]])
async def test_a_bad_claim_is_refused_naming_the_field(service: Service, jobs: list[str]) -> None:
    await queue(service, *jobs)
    for body, field in BAD:
        response = await service.http.post("/v1/claims", json=body)
        assert (response.status_code, response.json().get("field")) == (400, field)
    for job in jobs:
        assert (await snapshot(service, job))["status"] == "queued"


# Whose -------------------------------------------------------------------------------------------------------------


async def test_events_of_a_worker_that_does_not_hold_the_job_are_refused(service: Service) -> None:
    await queue(service, "a")
    await queue(service, "free")
    await claim(service, "w1")
    response = await service.http.post(
        "/v1/events",
        json=[
            {"job": "free", "type": "job.progressed", "worker": "w2"},
            {"job": "a", "type": "job.progressed", "worker": "w2"},
        ],
    )
    problem = response.json()
    assert (response.status_code, problem["type"]) == (403, "urn:streamproc:problem:claimed-by-another")
    assert [(error["index"], error["field"]) for error in problem["errors"]] == [(1, "worker")]
    assert "w1" in problem["detail"]
    assert (await snapshot(service, "free"))["status"] == "queued"  # all or none
    assert await say(service, "a", "job.progressed", worker="w1", percent=5) == 201
    assert await say(service, "a", "job.cancel_requested", worker="ann") == 201


async def test_the_direct_events_of_who_does_not_hold_the_job_have_no_effect(service: Service) -> None:
    await queue(service, "a")
    await claim(service, "w1")
    before = await snapshot(service, "a")
    await service.append(
        {"job": "a", "type": "job.progressed", "worker": "w2", "percent": 90},
        {"job": "a", "type": "job.finished"},
        {"job": "a", "type": "job.claimed", "worker": "w2", "lease_seconds": 9, "attempt": 2},
    )
    after = await snapshot(service, "a")
    assert {name: after[name] for name in ("status", "worker", "percent", "attempt")} == {
        name: before[name] for name in ("status", "worker", "percent", "attempt")
    }
    assert [mark for _, mark in (await marks(service, "a"))[-3:]] == ["unclaimed"] * 3


async def test_a_job_that_is_given_back_is_the_next_ones_and_a_new_attempt(service: Service) -> None:
    await queue(service, "a", params=[1])
    await claim(service, "w1")
    await say(service, "a", "job.progressed", worker="w1", percent=40)
    response = await service.http.post("/v1/jobs/a/release", json={"worker": "w1", "reason": "going home"})
    assert response.status_code == 202
    await caught_up(service.client, service.keys)
    found = await snapshot(service, "a")
    assert (found["status"], found["worker"], found["percent"], found["attempt"]) == ("queued", None, 40.0, 1)
    assert await say(service, "a", "job.progressed", worker="w1", percent=50) == 403
    await service.append({"job": "a", "type": "job.progressed", "worker": "w1", "percent": 50})
    assert (await marks(service, "a"))[-1] == ("job.progressed", "unclaimed")
    claimed = await claim(service, "w1")
    assert claimed is not None
    assert (claimed["attempt"], claimed["params"], claimed["job"]["percent"]) == (2, [1], None)
    assert await say(service, "a", "job.progressed", worker="w1", attempt=2, percent=7) == 201
    assert (await snapshot(service, "a"))["percent"] == 7.0


async def test_only_who_holds_a_job_gives_it_back(service: Service) -> None:
    await queue(service, "a")

    async def release(job: str, worker: str) -> int:
        response = await service.http.post(f"/v1/jobs/{job}/release", json={"worker": worker})
        await caught_up(service.client, service.keys)
        return response.status_code

    assert await release("a", "w1") == 403
    await claim(service, "w1")
    assert [await release("a", "w2"), await release("a", "w1"), await release("a", "w1")] == [403, 202, 403]
    assert await release("nobody", "w1") == 404


async def test_the_end_ends_the_claim(service: Service) -> None:
    await queue(service, "a")
    await claim(service, "w1")
    assert await say(service, "a", "job.finished", worker="w1") == 201
    assert await say(service, "a", "job.noted", worker="w2") == 201
    assert (await service.http.post("/v1/jobs/a/release", json={"worker": "w1"})).status_code == 403


# What goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        {"type": "job.started"},
        {"type": "job.canceled"},
        {"type": "job.claimed", "worker": "w0", "attempt": 1, "lease_seconds": 60},
        {"type": "job.claimed", "worker": "w1", "attempt": 1, "lease_seconds": 60},
    ],
    ids=["started", "canceled", "claimed", "claimed by the same worker"],
)
async def test_a_claim_that_is_not_true_where_it_stands_in_the_log_gives_nobody_the_job(
    server: Server, namespace: str, before: dict[str, Any]
) -> None:
    """What comes before it in the log isn't folded yet when it is appended."""
    async with serving_with_projector(server.url, namespace) as service:
        await queue(service, "a", "b")
        config = service.config
    async with connect(server.url) as client, serving(config) as http:
        log = service.keys.of("a").log
        await call(client, "XADD", log, "*", "e", json.dumps({"job": "a"} | before))
        length = await client.xlen(log)
        answers: list[Any] = []

        async def ask() -> None:
            answers.append((await http.post("/v1/claims", json={"worker": "w1"})).json())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)

            async def is_appended() -> bool:
                return bool(await client.xlen(log) > length)

            async def is_answered() -> bool:
                return bool(answers)

            await eventually(is_appended)
            async with projecting(config):
                await eventually(is_answered)
    assert answers[0]["job"]["job_id"] == "b"


async def test_a_claim_without_effect_leaves_a_queued_job_in_the_queue(service: Service) -> None:
    await queue(service, "a")
    await say(service, "a", "job.failed", error={"type": "E"})
    await service.append(
        {"job": "a", "type": "job.queued", "attempt": 2},
        {"job": "a", "type": "job.claimed", "attempt": 1, "worker": "late", "lease_seconds": 60},
    )
    assert (await claim(service, "w1") or {})["attempt"] == 2


async def test_a_canceled_and_retried_job_can_be_claimed_even_if_both_are_folded_at_once(service: Service) -> None:
    await queue(service, "a")
    assert (await service.http.post("/v1/jobs/a/cancel")).status_code == 202
    await service.append({"job": "a", "type": "job.queued", "attempt": 2})
    assert (await claim(service, "w1") or {})["attempt"] == 2


async def test_of_many_workers_at_several_gateways_one_gets_the_job(service: Service) -> None:
    jobs = [f"j{number}" for number in range(12)]
    got: list[tuple[str, str]] = []
    async with serving(service.config) as other:
        await queue(service, *jobs)

        async def work(http: Any, worker: str) -> None:
            while (response := await http.post("/v1/claims", json={"worker": worker})).status_code == 200:
                got.append((response.json()["job"]["job_id"], worker))

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(work, other if number % 2 else service.http, f"w{number}")
    assert sorted(job for job, _ in got) == sorted(jobs)
    for job, worker in got:
        assert (await snapshot(service, job))["worker"] == worker
        claims = [mark for event, mark in await marks(service, job) if event == "job.claimed"]
        assert claims == [None]


async def test_without_a_projector_a_claim_is_refused_and_the_job_is_queued_again(
    any_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamproc.gateway.claims._FOLD_SECONDS", 0.2)
    async with serving_with_projector(any_server.url, namespace) as service:
        await queue(service, "a")
        config = service.config
    async with connect(any_server.url) as client, serving(config) as http:
        response = await http.post("/v1/claims", json={"worker": "w1", "lease_seconds": 3600})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json()["type"] == "urn:streamproc:problem:claim-not-folded"
        assert (await http.post("/v1/claims", json={"worker": "w1"})).status_code == 204
        async with projecting(config):
            keys = await open_namespace(client, namespace, PARTITIONS)
            await caught_up(client, keys)
            claimed = await http.post("/v1/claims", json={"worker": "w2"})
            assert (claimed.json()["job"]["job_id"], claimed.json()["attempt"]) == ("a", 2)


async def test_a_worker_that_hangs_up_while_it_waits_gets_no_job(service: Service) -> None:
    with anyio.move_on_after(0.3) as given_up:
        await claim(service, "gone", wait=20)
    assert given_up.cancelled_caught
    await queue(service, "a")
    assert (await claim(service, "w1", wait=5) or {})["worker"] == "w1"
    assert [event for event, _ in await marks(service, "a")] == ["job.queued", "job.claimed"]


async def test_a_gateway_that_stops_sends_away_who_waits(any_server: Server, namespace: str) -> None:
    codes: list[int] = []
    async with (
        serving_with_projector(any_server.url, namespace) as service,
        anyio.create_task_group() as tasks,
        serving(service.config) as other,
    ):

        async def wait() -> None:
            codes.append((await other.post("/v1/claims", json={"worker": "w", "wait": 60})).status_code)

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await other.get("/livez")
    assert codes == [204]


# Leases ------------------------------------------------------------------------------------------------------------


async def test_a_worker_that_falls_silent_loses_its_job(service: Service) -> None:
    await queue(service, "a")
    await claim(service, "w1", lease_seconds=1)

    async def is_queued() -> bool:
        return (await snapshot(service, "a"))["status"] == "queued"

    await eventually(is_queued)
    assert await say(service, "a", "job.progressed", worker="w1", percent=1) == 403
    claimed = await claim(service, "w2")
    assert claimed is not None
    assert claimed["attempt"] == 2
    await service.append({"job": "a", "type": "job.finished", "worker": "w1", "attempt": 1})
    assert (await snapshot(service, "a"))["status"] == "started"
    assert await stored(service.client, service.keys) == await refolded(service.client, service.keys)


async def test_a_job_whose_workers_all_fall_silent_fails(service: Service) -> None:
    await queue(service, "a", max_attempts=2)
    for attempt in (1, 2):
        claimed = await claim(service, "w1", lease_seconds=1, wait=20)
        assert claimed is not None
        assert claimed["attempt"] == attempt

    async def has_failed() -> bool:
        return (await snapshot(service, "a"))["status"] == "failed"

    await eventually(has_failed)
    error = (await snapshot(service, "a"))["error"]
    assert error["type"] == "LeaseExpired"
    assert "attempt 2 of 2" in error["detail"]
    assert [event for event, _ in await marks(service, "a")] == [
        "job.queued",
        "job.claimed",
        "job.released",
        "job.claimed",
        "job.failed",
    ]
