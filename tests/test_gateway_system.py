"""How the system stands, and what could not be folded, as the gateway tells of them."""

import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from streamproc.config import Config
from streamproc.connection import connect
from streamproc.keys import Keys
from streamproc.wire import partition_of
from tests.support.gateways import PARTITIONS, Service, serving, serving_with_projector
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
    assert (mine["events"], mine["appended"], mine["dead_letters"]) == (1, 1, 0)
    assert (mine["lag"], mine["behind_seconds"]) == (0, 0)
    assert mine["owner"] == f"{mine['epoch']}:{mine['projector']}"
    assert mine["projector"].startswith(f"{socket.gethostname()}/{os.getpid()}/")
    assert found["server"]["memory_bytes"] > 0
    assert {each["check"]: each["verdict"] for each in found["findings"]}["owners"] == "ok"


async def test_what_was_appended_is_told_though_it_was_trimmed(service: Service) -> None:
    await service.append(*({"job": "a", "type": "job.progressed", "percent": percent} for percent in range(20)))
    await service.client.xtrim(service.keys.of("a").log, maxlen=5, approximate=False)
    mine = (await service.http.get("/v1/system")).json()["partitions"][partition_of("a", PARTITIONS)]
    assert (mine["events"], mine["appended"], mine["lag"]) == (5, 20, 0)
    await service.client.xtrim(service.keys.of("a").log, maxlen=0, approximate=False)
    mine = (await service.http.get("/v1/system")).json()["partitions"][partition_of("a", PARTITIONS)]
    assert (mine["events"], mine["appended"], mine["lag"]) == (0, 20, 0)


async def test_partitions_that_nobody_folds_are_told_with_what_to_do_and_how_far_they_are_behind(
    server: Server, namespace: str
) -> None:
    config = Config(redis=server.url, namespace=namespace, partitions=PARTITIONS)
    async with connect(server.url) as client, serving(config) as http:
        keys = Keys(namespace, PARTITIONS).of("a")
        seconds, _ = await client.time()
        await client.xadd(keys.log, {"e": "{}"}, id=f"{(seconds - 90) * 1000}-0")
        await client.xadd(keys.log, {"e": "{}"})
        found = (await http.get("/v1/system")).json()
        mine = found["partitions"][keys.partition]
        assert (mine["events"], mine["appended"], mine["lag"]) == (2, 2, 2)
        assert (mine["owner"], mine["epoch"], mine["projector"]) == (None, None, None)
        assert 90 <= mine["behind_seconds"] < 150
        [owners] = [each for each in found["findings"] if each["check"] == "owners"]
        assert owners["verdict"] == "fail"
        assert f"partitions 0-{PARTITIONS - 1}: start a projector" in owners["text"]


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


async def test_dead_letters_of_all_partitions_are_told_newest_first_page_by_page(service: Service) -> None:
    """Of one partition there are far more than of the others, and some were appended in the same millisecond."""
    spread = [0] * 30 + [1, 2] * 3 + [PARTITIONS - 1] * 2
    newest = []
    for number, partition in enumerate(spread):
        at, beside = number // 2, 7 if partition in (1, 2) else number % 2
        log = service.keys.partitions[partition].dead
        await service.client.xadd(log, {"r": str(number), "e": "x"}, id=f"{1_763_750_000_000 + at}-{beside}")
        newest.append((at, beside, partition, str(number)))
    found: list[dict[str, object]] = []
    url = "/v1/dead?limit=7"
    while url:
        response = await service.http.get(url)
        page = response.json()
        assert len(page["dead_letters"]) == min(7, len(spread) - len(found))
        found += page["dead_letters"]
        url = response.links["next"]["url"] if page["next"] else ""
    assert [(each["partition"], each["reason"]) for each in found] == [each[2:] for each in sorted(newest)[::-1]]


@pytest.mark.parametrize("query", ["?after=1-0", "?cursor=x", "?partition=99", "?partition=1&after=x"])
async def test_a_partition_must_be_named_that_there_is(service: Service, query: str) -> None:
    response = await service.http.get(f"/v1/dead{query}")
    assert response.status_code == 400
    assert json.loads(response.content)["parameter"]


@pytest.mark.parametrize("path", ["/v1/system", "/v1/dead", "/v1/dead?partition=1"])
async def test_who_is_limited_to_some_jobs_is_not_told_of_all(
    server_url: str, namespace: str, tmp_path: Path, path: str
) -> None:
    keys = toml_key("all", "log:read"), toml_key("some", "log:read", jobs=["mine-*"])
    async with guarded(server_url, namespace, auth_file(tmp_path, *keys)) as (_, http):
        assert (await http.get(path, headers=bearer(key_of("all")))).status_code == 200
        refused = await http.get(path, headers=bearer(key_of("some")))
        assert refused.status_code == 403
        assert "limited to some" in refused.json()["detail"]
        assert "scope" not in refused.json()
