"""Live streams: what a client may see and for how long, and what it is never spared."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from websockets.asyncio.client import connect as connect_socket

from streamproc.gateway import fanout, sets
from streamproc.gateway import messages as messages_module
from streamproc.gateway.clients import Client
from streamproc.gateway.connections import Listener
from streamproc.gateway.identity import Identity
from streamproc.gateway.identity.authenticator import Authenticator
from tests.support.gateways import Service, messages, serving_with_projector
from tests.support.running import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(sets, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.02)
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def everybody_is(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    async def identify(self: Authenticator, *given: object) -> Identity:
        return identity

    monkeypatch.setattr(Authenticator, "identify", identify)


def started(*jobs: str, **fields: object) -> list[dict[str, object]]:
    return [{"job": job, "type": "job.started", **fields} for job in jobs]


async def test_jobs_of_others_are_as_those_that_are_not_there(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_is(Identity(name="me", scopes=frozenset({"jobs:read"}), kinds=("mine",)), monkeypatch)
    await service.append(*started("a", kind="mine"), *started("b", kind="theirs"))
    assert (await service.http.get("/v1/jobs/b/stream")).status_code == 404
    for query in ("job=a&job=b&job=new", "job=a&job=b&job=new&events=all", "kind=theirs&kind=mine"):
        async with service.http.stream("GET", f"/v1/stream?{query}") as response:
            stream = messages(response)
            with anyio.fail_after(15):
                first, second = await anext(stream), await anext(stream)
                if "job=" in query:
                    assert (first.event, first.data) == ("unknown", {"jobs": ["b", "new"]})
                else:
                    assert (first.event, first.data) == ("jobs", {"jobs": ["a"]})
                assert json.dumps(second.data).count('"a"') == 1
                await service.append({"job": "b", "type": "job.noted"}, {"job": "b", "type": "job.noted"})
                await service.append({"job": "a", "type": "job.noted"})
                third = await anext(stream)
                assert '"a"' in json.dumps(third.data)
    async with connect_socket(f"ws://127.0.0.1:{service.http.base_url.port}/v1/ws", proxy=None) as socket:
        await socket.send(json.dumps({"type": "subscribe", "jobs": ["b", "a"], "mode": "events"}))
        with anyio.fail_after(15):
            assert json.loads(await socket.recv())["event"] == "subscribed"
            assert json.loads(await socket.recv())["job"] == "a"
            await service.append({"job": "b", "type": "job.noted"})
            await service.append({"job": "a", "type": "job.noted"})
            assert json.loads(await socket.recv())["job"] == "a"


async def test_a_stream_ends_when_its_token_expires(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await service.append(*started("a", "b"))
    for path in ("/v1/jobs/a/stream", "/v1/jobs/a/stream?events=all", "/v1/stream?job=a&job=b", "/v1/stream"):
        soon = Identity(name="me", scopes=frozenset({"jobs:read"}), expires=time.time() + 0.1)
        everybody_is(soon, monkeypatch)
        with anyio.fail_after(15):
            async with service.http.stream("GET", path) as response:
                *_, last = [message async for message in messages(response)]
        assert (last.event, last.data["reason"]) == ("closed", "expired")
        assert last.data["id"] == last.id is not None
    everybody_is(Identity(name="me", scopes=frozenset({"jobs:read"}), expires=time.time() + 0.1), monkeypatch)
    socket = await connect_socket(f"ws://127.0.0.1:{service.http.base_url.port}/v1/ws", proxy=None)
    with anyio.fail_after(15):
        await socket.wait_closed()
    assert socket.close_code == 3000


async def test_a_slow_client_gets_the_final_state_of_a_job_that_was_begun_anew_since(service: Service) -> None:
    await service.append(*started("a", details={"large": "x" * 60_000}))
    reader, writer = await asyncio.open_connection("127.0.0.1", service.http.base_url.port, limit=65536)
    writer.write(b"GET /v1/jobs/a/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"event: snapshot")
    for number in range(200):  # while it reads nothing
        await service.append({"job": "a", "type": "job.noted", "details": {"n": number, "large": "x" * 60_000}})
    await service.append({"job": "a", "type": "job.failed", "error": {"type": "Oh"}})
    await service.append(*started("a", attempt=2))
    found, number = b"", 0
    with anyio.fail_after(20):
        while b"event: end" not in found:
            number += 1
            found = (found + await reader.read(1 << 20))[-400_000:]
    writer.close()
    last = found[found.rindex(b"event: snapshot") : found.rindex(b"event: end")]
    assert b'"status":"failed"' in last


async def test_many_who_come_back_at_once_share_one_read_of_their_job(service: Service) -> None:
    await service.append(*started("a"), *[{"job": "a", "type": "job.noted"}] * 30)
    (*_, last) = (await service.http.get("/v1/jobs/a/events")).json()["events"]
    begun = 0

    async def reads() -> int:
        stats = await service.client.info("commandstats")
        return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("hget", "xrange"))

    async def follow(query: str) -> None:
        nonlocal begun
        headers = {"last-event-id": last["position"]}
        async with service.http.stream("GET", f"/v1/jobs/a/stream{query}", headers=headers) as response:
            begun += 1
            assert [message.event async for message in messages(response)][-1] == "end"

    before = await reads()
    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(follow, "?events=all" if number % 2 else "")

        async def all_begun() -> bool:
            return begun == 60

        await eventually(all_begun)
        assert await reads() - before <= 8, "a read of the state, and those of a round or two"
        await service.append({"job": "a", "type": "job.finished"})


class Gone:
    """A connection that broke before anybody listened."""

    listener: Listener | None = None
    gone = True
    paused = False

    def write(self, data: bytes) -> None:
        raise AssertionError("nobody is there")

    def abort(self) -> None: ...

    def settle(self) -> None: ...


async def test_who_has_gone_before_it_was_listened_for_is_let_go_at_once() -> None:
    client = Client(Gone(), messages_module.sse, Identity(name="me"), 3600.0)
    with anyio.fail_after(5):
        await client.run()
    assert client.reason == "gone"
