"""The log, on every server at hand and on fakeredis: what is appended is read, in order, under rising positions."""

import json
from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
from redis.asyncio import Redis

from streamproc.connection import connect
from streamproc.errors import ServerUnavailable, UnfitServer
from streamproc.inspection import check_server
from streamproc.log import Log, open_namespace
from streamproc.position import START, key
from tests.support.servers import Server, debian_redis, embedded_valkey, free_port

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["valkey", "redis", "fakeredis"])
async def client(request: pytest.FixtureRequest, server: Server, tmp_path: Any) -> AsyncIterator[Redis]:
    if request.param == "fakeredis":
        fake = fakeredis.FakeAsyncRedis(protocol=2)
        fake.set_response_callback("XREAD", lambda reply, **options: reply)
        fake.set_response_callback("XRANGE", lambda reply, **options: reply)
        yield fake
        await fake.aclose()
        return
    running, binary = server, debian_redis()
    if request.param == "redis":
        if binary is None:
            pytest.skip("no redis-server on this machine; `apt-get install redis-server` brings it")
        running = Server(binary, tmp_path).start()
    async with connect(running.url) as connected:
        yield connected
    if running is not server:
        running.stop()


async def test_what_is_appended_is_read_in_order_under_rising_positions(client: Redis, namespace: str) -> None:
    keys = await open_namespace(client, namespace, 4)
    log = Log(client, keys)
    payloads = [(f"job-{number % 3}", json.dumps({"n": number}).encode()) for number in range(60)]
    positions = await log.append(payloads)
    for job in ("job-0", "job-1", "job-2"):
        own = [
            (position, payload) for position, (name, payload) in zip(positions, payloads, strict=True) if name == job
        ]
        assert sorted(own, key=lambda entry: key(entry[0])) == own
        ranged = await log.range(keys.of(job).partition, START, 1000)
        read = [(position.decode(), fields[1]) for position, fields in ranged]
        assert [entry for entry in read if entry in own] == own


async def test_reading_goes_on_after_a_position_and_stops_at_a_count(client: Redis, namespace: str) -> None:
    keys = await open_namespace(client, namespace, 1)
    log = Log(client, keys)
    positions = await log.append([("a", b"{}")] * 10)
    [got] = await log.read({0: positions[3]}, 4, 100)
    assert [position.decode() for position, _ in got.entries] == positions[4:8]
    ranged = await log.range(0, positions[7], 100)
    assert [position.decode() for position, _ in ranged] == positions[8:]
    assert await log.range(0, positions[9], 100) == []


async def test_reading_past_the_end_waits_and_returns_nothing(client: Redis, namespace: str) -> None:
    keys = await open_namespace(client, namespace, 1)
    assert await Log(client, keys).read({0: START}, 10, 1) == []


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as gone:
        with pytest.raises(ServerUnavailable):
            await open_namespace(gone, "sp", 1)


async def test_a_password_that_is_refused_is_not_an_outage(tmp_path: Any) -> None:
    running = Server(embedded_valkey(), tmp_path, "--aclfile", str(tmp_path / "acl"))
    (tmp_path / "acl").write_text("user default on nopass ~* &* +@all\nuser me on >right ~* &* +@all\n")
    running.start()
    try:
        async with connect(running.url.replace("redis://", "redis://me:wrong@")) as client:
            with pytest.raises(UnfitServer, match="name or password"):
                await open_namespace(client, "sp", 1)
    finally:
        running.stop()


async def test_a_server_that_may_lose_or_evict_is_named(own_server: Server) -> None:
    async with connect(own_server.url) as client:
        assert await check_server(client) == []
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.config_set("appendonly", "no")
        evicts, forgets = await check_server(client)
        assert "allkeys-lru" in evicts
        assert "appendonly is off" in forgets
