"""Claims and control where the gateway knows who asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from streamproc.claims import Claims
from tests.support.gateways import Service
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key
from tests.support.running import caught_up

pytestmark = pytest.mark.anyio

Gateway = tuple[Service, httpx.AsyncClient]


@pytest.fixture
async def gateway(server_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    scopes = ("jobs:read", "jobs:control", "claims")
    keys = [
        toml_key("ann", *scopes),
        toml_key("kind", *scopes, kinds=["mine"]),
        toml_key("owner", *scopes, owners=["me"]),
    ]
    async with guarded(server_url, namespace, auth_file(tmp_path, *keys)) as running:
        yield running


async def test_a_wish_is_by_whoever_the_gateway_knows_asks(gateway: Gateway) -> None:
    service, http = gateway
    await service.append({"job": "a", "type": "job.started"}, {"job": "b", "type": "job.queued"})
    for job, action in (("a", "pause"), ("b", "cancel")):
        response = await http.post(f"/v1/jobs/{job}/{action}", headers=bearer(key_of("ann")), json={"by": "somebody"})
        assert response.status_code == 202
        history = (await http.get(f"/v1/jobs/{job}/events", headers=bearer(key_of("ann")))).json()["events"]
        assert {each["event"]["by"] for each in history[1:]} == {"ann"}


@pytest.mark.parametrize("name", ["kind", "owner"])
@pytest.mark.parametrize("foreign", [1, 40])
async def test_a_worker_gets_jobs_of_its_own_behind_however_many_of_others(
    gateway: Gateway, name: str, foreign: int
) -> None:
    service, http = gateway
    theirs = [
        {"job": f"j{number}", "type": "job.queued", "kind": "theirs", "owner": "them", "priority": 9}
        for number in range(foreign)
    ]
    await service.append(*theirs, {"job": "mine", "type": "job.queued", "kind": "mine", "owner": "me"})
    await caught_up(service.client, service.keys)
    headers = bearer(key_of(name))
    first = await http.post("/v1/claims", headers=headers, json={"worker": "w", "wait": 10})
    assert first.json()["job"]["job_id"] == "mine"
    assert (await http.post("/v1/claims", headers=headers, json={"worker": "w"})).status_code == 204
    assert (
        await http.post("/v1/claims", headers=headers, json={"worker": "w", "kinds": ["theirs"]})
    ).status_code == 204
    assert (await http.post("/v1/jobs/j0/release", headers=headers, json={"worker": "w"})).status_code == 404
    assert (await http.post("/v1/jobs/mine/release", headers=headers, json={"worker": "w"})).status_code == 202


async def test_jobs_of_others_are_passed_over_many_at_a_time(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    service, http = gateway
    theirs = [{"job": f"j{number}", "type": "job.queued", "owner": "them", "priority": 9} for number in range(400)]
    await service.append(*theirs, {"job": "mine", "type": "job.queued", "owner": "me"})
    looks, heads = [], Claims.heads

    async def counted(self: Claims, *arguments: Any) -> Any:
        looks.append(arguments)
        return await heads(self, *arguments)

    monkeypatch.setattr(Claims, "heads", counted)
    claimed = await http.post("/v1/claims", headers=bearer(key_of("owner")), json={"worker": "w"})
    assert claimed.json()["job"]["job_id"] == "mine"
    assert len(looks) <= 10


async def test_a_poll_of_a_job_of_others_waits_as_if_it_were_not_there(gateway: Gateway) -> None:
    service, http = gateway
    await service.append({"job": "theirs", "type": "job.queued", "kind": "theirs"})
    headers = bearer(key_of("kind")) | {"prefer": "wait=20", "if-none-match": '"1-0.0"'}
    with anyio.move_on_after(0.5) as given_up:
        await http.get("/v1/jobs/theirs", headers=headers)
    assert given_up.cancelled_caught
