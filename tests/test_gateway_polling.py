"""``GET /v1/jobs/{id}`` with ``Prefer: wait``, and tags."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from streamproc import hub
from streamproc.connection import call
from tests.support.gateways import Service, serving, serving_with_projector
from tests.support.running import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


class Poll:
    """A request that is under way."""

    def __init__(self) -> None:
        self.response: httpx.Response | None = None


async def watched(service: Service, job: str) -> int:
    """How many subscriptions there are to a job's doorbell."""
    _, count = await call(service.client, "PUBSUB", "SHARDNUMSUB", service.keys.of(job).live(job))
    return int(count)


@asynccontextmanager
async def polling(service: Service, job: str, seconds: int = 20, **headers: str) -> AsyncIterator[Poll]:
    """A long poll that has begun to wait; leaving waits for its answer."""
    poll = Poll()

    async def get() -> None:
        prefer = {"prefer": f"wait={seconds}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        poll.response = await service.http.get(f"/v1/jobs/{job}", headers=prefer)

    async def waits() -> bool:
        return await watched(service, job) == 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get)
        await eventually(waits)
        yield poll


def answer(poll: Poll) -> tuple[int, Any]:
    assert poll.response is not None
    return poll.response.status_code, poll.response.json() if poll.response.content else None


async def test_a_poll_without_a_tag_waits_for_the_next_change(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    async with polling(service, "a") as poll:

        async def answered() -> bool:
            await service.append({"job": "a", "type": "job.heartbeat"})
            return poll.response is not None

        assert poll.response is None
        await eventually(answered)
    status, job = answer(poll)
    assert status == 200
    assert job["events"] > 1
    assert poll.response is not None
    assert poll.response.headers["preference-applied"] == "wait=20"


async def test_a_poll_with_a_tag_waits_until_the_job_is_another(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]
    async with polling(service, "a", if_none_match=tag) as poll:
        [position] = await service.append({"job": "a", "type": "job.started"})
    assert answer(poll)[1]["position"] == position
    at_once = await service.http.get("/v1/jobs/a", headers={"prefer": "wait=60", "if-none-match": tag})
    assert at_once.json()["position"] == position


async def test_a_poll_of_an_unchanged_job_ends_with_304(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]
    response = await service.http.get("/v1/jobs/a", headers={"prefer": "wait=1", "if-none-match": tag})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)


async def test_an_estimate_that_moves_on_is_another_tag_and_no_change_to_wait_for(service: Service) -> None:
    for percent in range(1, 6):
        await service.append({"job": "a", "type": "job.progressed", "percent": percent})
        await anyio.sleep(0.05)
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]

    async def moved_on() -> bool:
        return (await service.http.get("/v1/jobs/a")).headers["etag"] != tag

    await eventually(moved_on)
    async with polling(service, "a", if_none_match=tag) as poll:
        assert (await service.http.get("/v1/jobs/a", headers={"if-none-match": tag})).status_code == 200
        assert poll.response is None
        [position] = await service.append({"job": "a", "type": "job.progressed", "percent": 7})
    assert answer(poll)[1]["position"] == position


async def test_a_job_that_is_not_there_yet_is_waited_for(service: Service) -> None:
    async with polling(service, "later") as poll:
        await service.append({"job": "later", "type": "job.queued"})
    assert answer(poll)[1]["job_id"] == "later"
    response = await service.http.get("/v1/jobs/never", headers={"prefer": "wait=1"})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_many_polls_of_a_job_share_one_subscription_and_all_are_answered(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]
    async with (
        polling(service, "a", if_none_match=tag) as first,
        polling(service, "a", if_none_match=tag) as second,
        polling(service, "a", if_none_match=tag) as third,
    ):
        assert await watched(service, "a") == 1
        [position] = await service.append({"job": "a", "type": "job.started"})
    assert [answer(poll)[1]["position"] for poll in (first, second, third)] == [position] * 3


async def test_nothing_is_left_of_a_poll_whose_client_has_gone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.05)
    await service.append({"job": "a", "type": "job.queued"})

    async def nobody_watches() -> bool:
        return await watched(service, "a") == 0

    async with serving(service.config) as http:
        with anyio.CancelScope() as leaving:
            async with polling(service._replace(http=http), "a", seconds=60):
                leaving.cancel()
        await eventually(nobody_watches)


async def test_a_gateway_that_stops_answers_its_polls(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]
    async with anyio.create_task_group() as tasks, serving(service.config) as http:
        answered = []

        async def get() -> None:
            headers = {"prefer": "wait=60", "if-none-match": tag}
            answered.append((await http.get("/v1/jobs/a", headers=headers)).status_code)

        async def waits() -> bool:
            return await watched(service, "a") == 1

        tasks.start_soon(get)
        await eventually(waits)
    assert answered == [304]


@pytest.mark.parametrize(
    ("preference", "applied"),
    [
        ("wait=100", "wait=60"),
        ('respond-async, Wait = "5"; x=y', "wait=5"),
        ("wait=7, wait=9", "wait=7"),
        ("wait=0", None),
        ("wait=x", None),
        ("wait", None),
        ("return=minimal", None),
    ],
)
async def test_a_preference_is_applied_as_far_as_it_can_be_and_told(
    service: Service, preference: str, applied: str | None
) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    headers = {"prefer": preference, "if-none-match": '"1-1.0"'}
    for method in ("GET", "HEAD"):
        response = await service.http.request(method, "/v1/jobs/a", headers=headers)
        assert (response.status_code, response.headers.get("preference-applied")) == (200, applied)
