"""Events over HTTP: all or none, and refusals that name what is wrong."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamproc.gateway import bodies
from tests.support.gateways import Service, serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

REFUSED = json.loads((Path(__file__).parent / "vectors" / "refused.json").read_text())
GOOD: str = REFUSED["good"]
JSON, NDJSON = "application/json", "application/x-ndjson"


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def post(service: Service, body: str | bytes, kind: str | None = JSON) -> httpx.Response:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return await service.http.post("/v1/events", content=content, headers={"content-type": kind} if kind else {})


def assert_refused(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    return problem


@pytest.mark.parametrize("kind", [JSON, None, "application/json; charset=utf-8"])
async def test_one_event_is_appended_as_it_was_sent(service: Service, kind: str | None) -> None:
    body = '{"job": "a", "type": "job.progressed", "percent": 5e1, "mine": [1.0]}'
    response = await post(service, body, kind)
    assert response.status_code == 201
    (event,) = response.json()["events"]
    keys = service.keys.of("a")
    assert event["partition"] == keys.partition
    assert await service.client.xrange(keys.log) == [[event["position"].encode(), [b"e", body.encode()]]]
    await caught_up(service.client, service.keys)
    assert (await service.http.get("/v1/jobs/a")).json()["percent"] == 50


@pytest.mark.parametrize("kind", [JSON, NDJSON])
async def test_many_events_are_appended_in_order(service: Service, kind: str) -> None:
    events = [json.dumps({"job": f"job-{n % 7}", "type": "job.noted", "n": n}) for n in range(1203)]
    body = f"[{','.join(events)}]" if kind == JSON else "\r\n\n".join(events) + "\n"
    response = await post(service, body, kind)
    assert response.status_code == 201
    answered = response.json()["events"]
    assert [event["job"] for event in answered] == [f"job-{n % 7}" for n in range(1203)]
    for keys in service.keys.partitions:
        found = await service.client.xrange(keys.log)
        assert [position.decode() for position, _ in found] == [
            event["position"] for event in answered if event["partition"] == keys.partition
        ]
        numbers = [json.loads(entry[1])["n"] for _, entry in found]
        assert numbers == sorted(numbers)


async def test_a_bad_event_is_refused_alone_and_in_a_list(service: Service) -> None:
    for name, bad in REFUSED["bodies"].items():
        for index, body, kind in (
            (0, bad, JSON),
            (1, f"[{GOOD},{bad},{GOOD}]", JSON),
            (1, f"{GOOD}\n{bad}\n{GOOD}\n", NDJSON),
            (2, f"{GOOD}\n{GOOD}\n{bad}", NDJSON),
        ):
            problem = assert_refused(await post(service, body, kind), 403 if name == "server_only" else 400)
            assert [error["index"] for error in problem["errors"]] == [index], name
    assert await service.log_length() == 0


ODD = {
    "huge_number": b'{"job":"a","type":"job.noted","details":{"x":1%b}}' % (b"0" * 400),
    "huge_done": b'{"job":"a","type":"job.progressed","done":1%b,"total":2}' % (b"0" * 400),
    "deep": b'{"job":"a","type":"job.noted","details":%b1%b}' % (b'{"a":' * 10_000, b"}" * 10_000),
    "deep_lists": b'{"job":"a","type":"job.noted","mine":%b%b}' % (b"[" * 10_000, b"]" * 10_000),
    "unclosed": b'{"job":"a","type":"job.noted","mine":' + b"[" * 10_000,
    "raw_surrogate": b'{"job":"a","type":"job.noted","message":"\xed\xa0\x80"}',
    "not_utf8": b'{"job":"a","type":"job.noted","mine":"\xff"}',
    "too_large": b'{"job":"a","type":"job.noted","mine":"%b"}' % (b"x" * 65_536),
    "raw_nul": b'{"job":"a","type":"job.noted","mine":"\x00"}',
}


async def test_an_odd_event_is_refused_alone_and_in_a_list(service: Service) -> None:
    good = GOOD.encode()
    for name, bad in ODD.items():
        for index, body, kind in ((0, bad, JSON), (1, b"[%b,%b]" % (good, bad), JSON), (1, good + b"\n" + bad, NDJSON)):
            problem = assert_refused(await post(service, body, kind), 400)
            assert problem["errors"][0]["index"] == index, name
    assert await service.log_length() == 0


async def test_the_field_of_each_bad_event_is_named(service: Service) -> None:
    bad = ['{"job":"a b","type":"t"}', GOOD, '{"job":"a"}', '{"job":"a","type":"unit.added","unit":"u","weight":-1}']
    problem = assert_refused(await post(service, f"[{','.join(bad)}]"), 400)
    assert [(error["index"], error["field"]) for error in problem["errors"]] == [(0, "job"), (2, "type"), (3, "weight")]
    problem = assert_refused(await post(service, "\n".join(['{"job":"a"}'] * 200), NDJSON), 400)
    assert len(problem["errors"]) == 100


async def test_a_body_of_another_type_is_refused(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/cbor"):
        assert_refused(await post(service, GOOD, kind), 415)
    assert await service.log_length() == 0


async def test_a_body_without_events_is_refused(service: Service) -> None:
    for body in (b"", b"[]", b" \n"):
        for kind in (JSON, NDJSON):
            assert_refused(await post(service, body, kind), 400)


async def test_a_body_beyond_the_limit_is_refused_by_its_declared_length(service: Service) -> None:
    assert_refused(await post(service, b"[" + b" " * bodies.MAX_BODY_BYTES + b"]"), 413)


async def test_a_body_beyond_the_limit_is_not_read_to_its_end(service: Service) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4 * bodies.MAX_BODY_BYTES:
            sent += 65_536
            yield b" " * 65_536

    response = await service.http.post("/v1/events", content=endless(), headers={"content-type": JSON})
    assert_refused(response, 413)


async def test_too_many_events_are_refused(service: Service) -> None:
    assert_refused(await post(service, "\n".join([GOOD] * (bodies.MAX_EVENTS + 1)), NDJSON), 413)
    assert await service.log_length() == 0


async def create(service: Service, **fields: Any) -> httpx.Response:
    return await service.http.post("/v1/jobs", json=fields)


async def test_a_created_job_is_answered_with_its_snapshot(service: Service) -> None:
    response = await create(service, job_id="import-1", kind="import", stages=[{"name": "Parse", "weight": 2}])
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/jobs/import-1"
    snapshot = response.json()
    assert (snapshot["job_id"], snapshot["kind"], snapshot["status"]) == ("import-1", "import", "queued")
    assert snapshot["stages"][0]["name"] == "Parse"


async def test_the_same_job_again_is_200_and_appends_nothing(service: Service) -> None:
    first = await create(service, job_id="a", labels={"x": "1", "y": "2"}, priority=1, params={"n": 2**70})
    body = b'{ "params":{"n": %d}, "priority":1,\n"labels":{"y":"2","x":"1"}, "job_id":"a" }' % 2**70
    again = await service.http.post("/v1/jobs", content=body, headers={"content-type": JSON})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert await service.log_length() == 1


async def test_another_job_of_the_same_id_is_a_conflict(service: Service) -> None:
    await create(service, job_id="a", params={"n": 1})
    assert_refused(await create(service, job_id="a", params={"n": 2}), 409)
    assert await service.log_length() == 1


async def test_a_job_without_an_id_gets_one_that_sorts_by_time(service: Service) -> None:
    ids = [(await create(service, title="x")).json()["job_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert (await service.http.get(f"/v1/jobs/{ids[0]}")).status_code == 200


BAD_JOBS: dict[bytes, str | None] = {
    b'{"job_id":"a b"}': "job_id",
    b'{"job_id":7}': "job_id",
    b'{"job":"a"}': "job",
    b'{"type":"job.claimed"}': "type",
    b'{"priority":"high"}': "priority",
    b'{"stages":[{"weight":1}]}': "stages[0]",
    b'{"title":NaN}': None,
    b"[]": None,
    b"": None,
    b"[" * 10_000: None,
    b'{"\xff":1}': None,
}


async def test_a_bad_job_is_refused_by_its_field(service: Service) -> None:
    for body, field in BAD_JOBS.items():
        response = await service.http.post("/v1/jobs", content=body, headers={"content-type": JSON})
        assert assert_refused(response, 400)["field"] == field
    assert await service.log_length() == 0
