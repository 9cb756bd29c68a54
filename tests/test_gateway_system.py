"""How the system stands, and what could not be folded, as the gateway tells of them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from streamproc.wire import partition_of
from tests.support.gateways import PARTITIONS, Service, serving_with_projector
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key
from tests.support.running import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def dead(http: httpx.AsyncClient, **parameters: object) -> dict[str, object]:
    response = await http.get("/v1/dead", params=parameters)
    response.raise_for_status()
    found: dict[str, object] = response.json()
    return found


async def test_partitions_are_told_with_owner_events_and_lag(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    found = (await service.http.get("/v1/system")).json()
    assert found["server"]["fit"]
    assert [each["partition"] for each in found["partitions"]] == list(range(PARTITIONS))
    mine = found["partitions"][partition_of("a", PARTITIONS)]
    assert (mine["events"], mine["lag"], mine["dead_letters"]) == (1, 0, 0)
    assert mine["owner"]


async def test_dead_letters_are_told_with_their_reason_page_by_page(service: Service) -> None:
    log = service.keys.partitions[1]
    await service.client.xadd(log.log, {"e": "no JSON"})
    await service.client.xadd(log.log, {"e": b"\xff", "f": "1"})

    async def kept() -> bool:
        return bool(await service.client.xlen(log.dead) == 2)

    await eventually(kept, what="two dead letters")
    first = await dead(service.http, partition=1, limit=1)
    second = await dead(service.http, partition=1, limit=1, after=first["next"])
    assert second["next"] is None
    [one], [two] = first["dead_letters"], second["dead_letters"]  # type: ignore[misc]
    assert "not JSON" in one["reason"]
    assert one["entry"] == [["e", "no JSON"]]
    assert two["entry"] == [["e", "�"], ["f", "1"]]
    assert two["reason"] == "an entry has one field, e"
    assert (await dead(service.http, partition=0))["dead_letters"] == []


@pytest.mark.parametrize("query", ["", "?partition=99", "?partition=1&after=x"])
async def test_a_partition_must_be_named_that_there_is(service: Service, query: str) -> None:
    response = await service.http.get(f"/v1/dead{query}")
    assert response.status_code == 400
    assert json.loads(response.content)["parameter"]


@pytest.mark.parametrize("path", ["/v1/system", "/v1/dead?partition=1"])
async def test_who_is_limited_to_some_jobs_is_not_told_of_all(
    server_url: str, namespace: str, tmp_path: Path, path: str
) -> None:
    keys = toml_key("all", "log:read"), toml_key("some", "log:read", jobs=["mine-*"])
    async with guarded(server_url, namespace, auth_file(tmp_path, *keys)) as (_, http):
        assert (await http.get(path, headers=bearer(key_of("all")))).status_code == 200
        assert (await http.get(path, headers=bearer(key_of("some")))).status_code == 403
