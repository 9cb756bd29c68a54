"""Estimates over HTTP: learned from the runs of a kind, in snapshots, lists and streams."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from projections import ESTIMATOR
from projections.job import JobSnapshot
from streamproc.connection import connect
from streamproc.gateway import estimates
from streamproc.gateway.estimates import Estimates
from streamproc.keys import Keys
from streamproc.store import Store
from tests.support.gateways import Service, messages, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def eta(service: Service, job: str) -> Any:
    return (await service.http.get(f"/v1/jobs/{job}")).json()["eta"]


async def test_a_running_job_has_an_estimate_of_its_rate(service: Service) -> None:
    await service.append({"job": "j", "type": "job.started", "kind": "k"})
    await service.append({"job": "j", "type": "job.progressed", "percent": 50})
    found = await eta(service, "j")
    assert (found["basis"], found["reason"]) == ("rate", None)
    assert 0 <= found["remaining_seconds"]["p50"] <= found["remaining_seconds"]["p90"]
    assert found["finish_at"]["p50"] <= found["finish_at"]["p90"]


async def test_a_job_that_says_nothing_goes_by_the_runs_of_its_kind_in_all_partitions(service: Service) -> None:
    for number in range(6):
        await service.append({"job": f"old-{number}", "type": "job.started", "kind": "quiet"})
        await service.append({"job": f"old-{number}", "type": "job.progressed"})
        await service.append({"job": f"old-{number}", "type": "job.finished"})
    await service.append({"job": "new", "type": "job.started", "kind": "quiet"})
    assert (await eta(service, "new"))["basis"] == "history"
    await service.append({"job": "other", "type": "job.started", "kind": "unheard of"})
    assert await eta(service, "other") == {
        "remaining_seconds": None, "finish_at": None, "basis": None, "reason": "indeterminate", "start_at": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (["job.queued"], "queued"),
        (["job.started", "job.progressed", "job.paused"], "paused"),
        (["job.started", "job.progressed", "job.stalled"], "stalled"),
    ],
)
async def test_a_job_that_does_not_run_says_why_it_has_no_finish(
    service: Service, events: list[str], reason: str
) -> None:
    for name in events:
        await service.append({"job": "j", "type": name, "percent": 40})
    found = await eta(service, "j")
    assert (found["finish_at"], found["reason"]) == (None, reason)


async def test_large_jobs_that_were_served_are_forgotten_before_they_fill_the_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "_MOST_BYTES", 50_000)
    async with connect(server.url) as client:
        served = Estimates(Store(client, Keys("none", 1)), ESTIMATOR)
        for text in ("x" * 10_000, "y" * 5_000, "z"):
            snapshot = msgspec.json.encode(JobSnapshot("j", message=text, created_at="2026-11-21T18:33:20.000Z"))
            for number in range(20):
                assert (await served.served(f"j{number}", snapshot)).startswith(b'{"job_id":"j"')
            assert served.kept_bytes <= 50_000
        assert served.kept_bytes > 20 * len(snapshot)


async def test_a_final_job_has_none(service: Service) -> None:
    for name in ("job.started", "job.progressed", "job.finished"):
        await service.append({"job": "j", "type": name, "percent": 40})
    assert await eta(service, "j") is None


async def test_lists_and_streams_have_them_too(service: Service) -> None:
    await service.append({"job": "j", "type": "job.started", "kind": "k"})
    await service.append({"job": "j", "type": "job.progressed", "percent": 50})
    listed = (await service.http.get("/v1/jobs")).json()["jobs"]
    assert [job["eta"]["basis"] for job in listed] == ["rate"]
    async with service.http.stream("GET", "/v1/jobs/j/stream") as response:
        message = await anext(messages(response))
    assert message.data["eta"]["basis"] == "rate"


async def test_texts_that_look_like_an_estimate_do_not_disturb_it(service: Service) -> None:
    trap = {"eta": 1, 'x","eta":null,"created_at":': ['"eta":[1]', ',"created_at":']}
    await service.append({"job": "j", "type": "job.started", "stages": [{"name": ',"eta":[1],"created_at":'}]})
    await service.append({"job": "j", "type": "job.progressed", "percent": 50, "details": trap, "message": ',"eta":'})
    found = (await service.http.get("/v1/jobs/j")).json()
    assert found["details"] == trap
    assert set(found["eta"]) == {"remaining_seconds", "finish_at", "basis", "reason", "start_at"}
