"""Who is limited to some jobs: what they see and write, by every way there is."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect as socket_to

from tests.support.gateways import Service, messages
from tests.support.identities import Signer, auth_file, bearer, guarded, key_of, toml_key

pytestmark = pytest.mark.anyio

LIMITS = {"kind": {"kinds": ["mine"]}, "owner": {"owners": ["me"]}, "job": {"jobs": ["mine*"]}}
MINE = {"kind": "mine", "owner": "me"}
THEIRS = {"kind": "theirs", "owner": "them"}

Gateway = tuple[Service, httpx.AsyncClient]


@pytest.fixture
async def gateway(server_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with a job for everybody who is limited, and one for none of them."""
    scopes = ("events:write", "jobs:read", "jobs:control", "claims", "log:read")
    keys = [toml_key(name, *scopes, **limit) for name, limit in LIMITS.items()]
    async with guarded(server_url, namespace, auth_file(tmp_path, *keys)) as (service, http):
        await service.append(
            {"job": "mine", "type": "job.queued", **MINE},
            {"job": "theirs", "type": "job.queued", **THEIRS},
        )
        yield service, http


async def write(http: httpx.AsyncClient, name: str, *events: dict[str, Any]) -> httpx.Response:
    return await http.post("/v1/events", headers=bearer(key_of(name)), json=list(events))


@pytest.mark.parametrize("name", LIMITS)
async def test_events_about_jobs_of_others_are_refused_all_together(gateway: Gateway, name: str) -> None:
    service, http = gateway
    before = await service.log_length()
    for event in (
        {"job": "theirs", "type": "job.noted"},
        {"job": "theirs", "type": "job.canceled"},
        {"job": "theirs", "type": "job.queued", **MINE},
        {"job": "new", "type": "job.queued", **THEIRS},
    ):
        response = await write(http, name, {"job": "mine", "type": "job.noted"}, event)
        assert (response.status_code, response.json()["type"]) == (404, "urn:streamproc:problem:unknown-job"), event
        assert [error["index"] for error in response.json()["errors"]] == [1]
    assert await service.log_length() == before


@pytest.mark.parametrize("name", LIMITS)
async def test_jobs_of_ones_own_are_made_and_written(gateway: Gateway, name: str) -> None:
    _, http = gateway
    made = {"job": "mine-2", "type": "job.queued", **MINE}
    assert (await write(http, name, made)).status_code == 201
    assert (await write(http, name, {"job": "mine-2", "type": "job.started"})).status_code == 201
    assert (await write(http, name, {"job": "mine", "type": "job.started"})).status_code == 201
    body = {"job_id": "mine-3", **MINE}
    assert (await http.post("/v1/jobs", headers=bearer(key_of(name)), json=body)).status_code == 201
    foreign = {"job_id": "other", **THEIRS}
    assert (await http.post("/v1/jobs", headers=bearer(key_of(name)), json=foreign)).status_code == 404


async def test_nobody_moves_a_job_out_of_their_own_sight_or_takes_one_into_it(gateway: Gateway) -> None:
    _, http = gateway
    for name, change in (("kind", {"kind": "theirs"}), ("owner", {"owner": "them"})):
        assert (await write(http, name, {"job": "mine", "type": "job.started", **change})).status_code == 404
        changed = {"job": "theirs", "type": "job.started", **MINE}
        assert (await write(http, name, changed)).status_code == 404


@pytest.mark.parametrize("name", ["kind", "owner"])
async def test_nobody_makes_a_job_their_own_that_is_of_no_kind_and_nobodys(gateway: Gateway, name: str) -> None:
    service, http = gateway
    await service.append({"job": "nobodys", "type": "job.started"})
    assert (await write(http, name, {"job": "nobodys", "type": "job.queued", **MINE})).status_code == 404


@pytest.mark.parametrize("name", LIMITS)
async def test_lists_and_streams_of_many_leave_out_the_jobs_of_others(gateway: Gateway, name: str) -> None:
    _, http = gateway
    headers = bearer(key_of(name))
    for query in ("", "?status=queued", "?q=mine", "?sort=created", "?counts=true"):
        listed = (await http.get(f"/v1/jobs{query}", headers=headers)).json()
        assert [job["job_id"] for job in listed["jobs"]] == ["mine"], query
    assert listed["counts"] is None or sum(listed["counts"].values()) == 1
    for query in ("?q=theirs", "?kind=theirs", "?owner=them"):
        assert (await http.get(f"/v1/jobs{query}", headers=headers)).json()["jobs"] == [], query

    for query, told in (("job=mine&job=theirs&job=none", ["theirs", "none"]), ("status=queued", ["mine"])):
        async with http.stream("GET", f"/v1/stream?{query}", headers=headers) as response:
            followed = messages(response)
            assert (await anext(followed)).data["jobs"] == told
            snapshot = await anext(followed)
            assert (snapshot.event, snapshot.data["job_id"]) == ("snapshot", "mine")

    lines = (await http.get("/v1/log", headers=headers)).text.splitlines()
    assert {json.loads(line)["event"]["job"] for line in lines} == {"mine"}


@pytest.mark.parametrize("name", LIMITS)
async def test_a_socket_tells_nothing_of_the_jobs_of_others(gateway: Gateway, name: str) -> None:
    _, http = gateway
    url = str(http.base_url).replace("http://", "ws://").rstrip("/") + "/v1/ws"
    async with socket_to(url, additional_headers=bearer(key_of(name)), proxy=None) as socket:
        told = []
        for job in ("theirs", "none", "mine"):
            await socket.send(json.dumps({"type": "subscribe", "jobs": [job], "request": job}))
        with anyio.fail_after(10):
            while not any('"mine"' in text and "snapshot" in text for text in told):
                told.append(str(await socket.recv()))
        strange = [text.replace("theirs", "X") for text in told if "theirs" in text]
        missing = [text.replace("none", "X") for text in told if "none" in text]
        assert strange == missing, "it can't be told from one that isn't there"


@pytest.mark.parametrize("name", LIMITS)
async def test_workers_get_no_jobs_of_others(gateway: Gateway, name: str) -> None:
    _, http = gateway
    body = {"worker": "w", "kinds": ["mine", "theirs"], "lease_seconds": 30}
    first = await http.post("/v1/claims", headers=bearer(key_of(name)), json=body)
    assert first.status_code == 200, first.text
    assert '"mine"' in first.text
    assert (await http.post("/v1/claims", headers=bearer(key_of(name)), json=body)).status_code == 204


async def test_streams_and_sockets_end_when_the_token_does(server_url: str, namespace: str, tmp_path: Path) -> None:
    issuer = Signer()
    async with guarded(server_url, namespace, auth_file(tmp_path, issuer.toml(tmp_path))) as (service, http):
        await service.append({"job": "a", "type": "job.started"})
        headers = bearer(issuer.token(exp=int(time.time()) + 3))
        opened: list[str] = []

        async def follow(path: str) -> None:
            async with http.stream("GET", path, headers=headers) as response:
                assert response.status_code == 200
                opened.append(path)
                async for _ in response.aiter_raw():
                    pass

        async def talk(url: str) -> None:
            async with socket_to(url, additional_headers=headers, proxy=None) as socket:
                opened.append(url)
                await socket.wait_closed()

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                for path in ("/v1/jobs/a/stream", "/v1/jobs/a/stream?events=all", "/v1/stream?job=a"):
                    tasks.start_soon(follow, path)
                tasks.start_soon(talk, str(http.base_url).replace("http", "ws").rstrip("/") + "/v1/ws")
        assert len(opened) == 4
        assert (await http.get("/v1/jobs/a", headers=headers)).status_code == 401
