"""Idempotency-Key: what was done is done once, however often it is asked for."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request

from streamproc.answers import Answers
from streamproc.gateway.idempotency import idempotency_key
from streamproc.gateway.identity.model import Identity
from streamproc.gateway.identity.seen import IDENTITY
from streamproc.gateway.problems import Problem
from streamproc.log import Log
from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

EVENT = {"job": "a", "type": "job.noted"}


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def post(service: Service, key: str, content: Any = EVENT, path: str = "/v1/events") -> httpx.Response:
    return await service.http.post(path, json=content, headers={"idempotency-key": key})


async def test_the_same_again_gets_the_same_answer_and_is_done_once(service: Service) -> None:
    first, again, once_more = [await post(service, '"k"') for _ in range(3)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == once_more.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await service.log_length() == 1


async def test_another_key_or_none_is_another_request(service: Service) -> None:
    for key in ('"k1"', '"k2"'):
        await post(service, key)
    await service.http.post("/v1/events", json=EVENT)
    assert await service.log_length() == 3


async def test_other_content_under_the_same_key_is_refused(service: Service) -> None:
    await post(service, '"k"')
    response = await post(service, '"k"', EVENT | {"message": "x"})
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert await service.log_length() == 1


async def test_a_job_is_created_once_and_its_location_told_again(service: Service) -> None:
    first, again = [await post(service, '"k"', {"title": "x"}, "/v1/jobs") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["location"] == first.headers["location"] == f"/v1/jobs/{first.json()['job_id']}"
    assert await service.log_length() == 1
    assert (await post(service, '"k"', {"title": "y"}, "/v1/jobs")).status_code == 422


async def test_a_job_is_created_once_even_where_its_answer_was_not_kept(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Answers, "keep", lost)
        first = await post(service, '"k"', {"title": "x"}, "/v1/jobs")
    (pending,) = [key async for key in service.client.scan_iter(f"{service.keys.namespace}:answer:*")]
    assert 0 < await service.client.pttl(pending) <= 90_000
    await service.client.delete(pending)  # as after that time
    again = await post(service, '"k"', {"title": "x"}, "/v1/jobs")
    assert again.json()["job_id"] == first.json()["job_id"]
    assert await service.log_length() == 1


async def test_a_key_of_another_route_is_another_key(service: Service) -> None:
    assert (await post(service, '"k"')).status_code == 201
    assert (await post(service, '"k"', {"job_id": "a"}, "/v1/jobs")).status_code == 201


async def test_a_second_request_while_the_first_is_under_way_is_a_conflict(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    append = Log.append

    async def slow(log: Log, payloads: Any) -> list[str]:
        begun.set()
        await go_on.wait()
        return await append(log, payloads)

    monkeypatch.setattr(Log, "append", slow)
    answers: list[httpx.Response] = []

    async def first() -> None:
        answers.append(await post(service, '"k"'))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await begun.wait()
            response = await post(service, '"k"')
            assert (response.status_code, response.headers["retry-after"]) == (409, "1")
            go_on.set()
    assert answers[0].status_code == 201
    assert (await post(service, '"k"')).content == answers[0].content
    assert await service.log_length() == 1


async def test_what_was_refused_leaves_its_key_free(service: Service) -> None:
    assert (await post(service, '"k"', {"job": "a"})).status_code == 400
    assert (await post(service, '"k"')).status_code == 201


async def test_a_key_may_come_without_quotes_and_is_the_same_then(service: Service) -> None:
    await post(service, '"8e03978e"')
    assert (await post(service, "8e03978e")).headers["idempotency-replayed"] == "true"


async def test_what_is_no_key_is_refused(service: Service) -> None:
    for key in ("", '""', '"a', "a b", '"' + "a" * 256 + '"'):
        response = await post(service, key)
        assert (response.status_code, response.json()["header"]) == (400, "Idempotency-Key"), key
    assert await service.log_length() == 0


async def test_answers_are_kept_for_a_day(service: Service) -> None:
    await post(service, '"k"', [EVENT] * 3000)
    (kept,) = [key async for key in service.client.scan_iter(f"{service.keys.namespace}:answer:*")]
    assert 86_000_000 < await service.client.pttl(kept) <= 86_400_000
    assert await service.client.strlen(kept) < 60_000


def test_a_key_belongs_to_whoever_sends_it() -> None:
    def of(name: str, path: str = "/v1/events", key: bytes = b'"k"', via: str = "key:1") -> str | None:
        scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"idempotency-key", key)]}
        return idempotency_key(Request(scope | {IDENTITY: Identity(name=name, via=via)}))

    assert of("ann") == of("ann", key=b"k")
    assert len({of("ann"), of("bob"), of("ann", "/v1/jobs"), of("ann", key=b'"l"'), of("ann", via="jwt:x")}) == 5
    with pytest.raises(Problem):
        of("ann", key=b"\x00")
