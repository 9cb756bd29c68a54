"""The gateway's process: where it listens, what it outlives, and how it ends."""

import asyncio
import json
import socket
from pathlib import Path

import anyio
import pytest

from projections import ESTIMATOR, PAST
from streamproc import gateway, hub
from streamproc.config import Config
from streamproc.connection import connect
from streamproc.errors import ConfigError
from streamproc.gateway import clients, fanout, streaming
from streamproc.gateway import server as server_module
from streamproc.log import Log, open_namespace
from tests.support.gateways import PARTITIONS, messages, serving, serving_with_projector
from tests.support.running import caught_up, eventually
from tests.support.servers import Server, embedded_valkey, free_port

pytestmark = pytest.mark.anyio


async def serve(config: Config, uds: str | None = None) -> None:
    await gateway.serve(config, ESTIMATOR, PAST, stop=anyio.Event(), uds=uds)


async def test_a_port_that_is_taken_is_a_clear_error(server: Server, namespace: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = Config(redis=server.url, namespace=namespace, port=other.getsockname()[1])
        with pytest.raises(ConfigError, match="Address already in use"):
            await serve(config)


async def test_a_host_that_others_can_reach_needs_insecure(server: Server, namespace: str) -> None:
    with pytest.raises(ConfigError, match="not loopback"):
        await serve(Config(redis=server.url, namespace=namespace, port=0, host="0.0.0.0"))  # noqa: S104


async def test_it_listens_at_a_path_that_only_its_user_may_open(server: Server, namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "g"
    async with serving(Config(redis=server.url, namespace=namespace), uds=str(path)) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_it_is_ready_with_server_and_namespace_and_tells_of_owners(server: Server, namespace: str) -> None:
    async with serving(Config(redis=server.url, namespace=namespace, partitions=PARTITIONS, port=0)) as http:
        response = await http.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {"ready": True, "partitions": PARTITIONS, "owned": 0}
    async with serving_with_projector(server.url, namespace) as service:

        async def all_owned() -> bool:
            return bool((await service.http.get("/readyz")).json()["owned"] == PARTITIONS)

        await eventually(all_owned)


async def test_without_a_server_it_comes_up_says_so_and_serves_once_there_is_one(
    namespace: str, tmp_path: Path
) -> None:
    late = Server(embedded_valkey(), tmp_path)
    async with serving(Config(redis=late.url, namespace=namespace, port=0)) as http:
        assert (await http.get("/livez")).status_code == 200
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert "Redis" in ready.json()["detail"]
        for method, path in (
            ("GET", "/v1/jobs"),
            ("GET", "/v1/jobs/a/stream"),
            ("POST", "/v1/jobs"),
            ("GET", "/v1/log"),
        ):
            response = await http.request(method, path)
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert int(response.headers["retry-after"]) >= 1
        late.start()
        try:

            async def ready_now() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await eventually(ready_now)
            assert (await http.get("/v1/jobs")).json() == {"jobs": [], "next": None}
        finally:
            late.stop()


async def test_a_server_that_goes_and_comes_back_costs_streams_nothing(own_server: Server, namespace: str) -> None:
    async with serving_with_projector(own_server.url, namespace) as service:
        positions = await service.append({"job": "a", "type": "job.started"}, {"job": "a", "type": "job.noted"})
        found: dict[str, list[str]] = {"": [], "?events=all": []}
        opened = {mode: anyio.Event() for mode in found}

        async def follow(mode: str) -> None:
            async with service.http.stream("GET", f"/v1/jobs/a/stream{mode}") as response:
                async for message in messages(response):
                    opened[mode].set()
                    assert message.event != "reset"
                    found[mode].append(message.data["position"])

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                for mode in found:
                    tasks.start_soon(follow, mode)
                    await opened[mode].wait()
                own_server.stop()
                assert (await service.http.get("/readyz")).status_code == 503
                assert (await service.http.get("/v1/jobs/a")).status_code == 503
                assert (await service.http.get("/v1/jobs/b/stream")).status_code == 503
                own_server.start()

                async def ready_again() -> bool:
                    return (await service.http.get("/readyz")).status_code == 200

                await eventually(ready_again)
                positions += await service.append(
                    {"job": "a", "type": "job.noted"}, {"job": "a", "type": "job.finished"}
                )
        assert found["?events=all"] == [*positions, positions[-1]], "every event, and the end"
        assert found[""][0] == positions[1]
        assert found[""][-1] == positions[-1]


async def test_a_key_that_holds_something_else_is_named(server: Server, namespace: str) -> None:
    async with serving_with_projector(server.url, namespace) as service:
        key = service.keys.of("a").state("a")
        await service.client.set(key, "foreign")
        for path in ("", "/stream"):
            response = await service.http.get(f"/v1/jobs/a{path}")
            assert response.status_code == 503
            assert "wrong kind of value" in response.json()["detail"]


async def test_a_reader_that_takes_nothing_holds_up_neither_others_nor_the_end(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_STALLED_SECONDS", 0.1)
    async with serving_with_projector(server.url, namespace) as service:
        await fill(service.config, count=1200)
        with anyio.fail_after(4), socket.socket() as stalled:  # before the server under us would give up
            async with serving(service.config) as http:
                await request(stalled, http.base_url.port, "/v1/jobs/a/stream?events=all")
                assert (await http.get("/v1/jobs/a")).status_code == 200


async def test_a_reader_that_takes_nothing_is_cut_off(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_SEND_SECONDS", 0.2)
    monkeypatch.setattr(clients, "_STALLED_SECONDS", 0.2)
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.05)
    async with serving_with_projector(server.url, namespace) as service:
        await fill(service.config, count=1200)
        for path in ("/v1/jobs/a/stream?events=all", "/v1/log"):
            with socket.socket() as stalled:
                await request(stalled, service.http.base_url.port, path)

                async def cut_off(stalled: socket.socket = stalled) -> bool:
                    # Where the other side has dropped the connection, writing fails.
                    try:
                        stalled.send(b"\r\n")
                    except (ConnectionResetError, BrokenPipeError):
                        return True
                    return False

                await eventually(cut_off, what="cutting off")


async def fill(config: Config, count: int) -> None:
    """More history than sockets buffer: 60 MB and more."""
    payload = json.dumps({"job": "a", "type": "job.noted", "mine": "x" * 60_000}).encode()
    async with connect(config.redis) as client:
        keys = await open_namespace(client, config.namespace, config.partitions)
        for _ in range(count // 100):
            await Log(client, keys).append([("a", payload)] * 100)
        await caught_up(client, keys, seconds=60)


async def request(client: socket.socket, port: int | None, path: str) -> None:
    """Ask, read the beginning of the answer, and never read again."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert (await loop.sock_recv(client, 15)) == b"HTTP/1.1 200 OK"


async def test_a_client_that_goes_away_is_let_go(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.1)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        channel = service.keys.of("a").live("a")

        async def subscribed() -> int:
            reply: list[int] = await service.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
            return reply[1]

        async with service.http.stream("GET", "/v1/jobs/a/stream") as response:
            await anext(messages(response))
            assert await subscribed() == 1

        async def let_go() -> bool:
            return await subscribed() == 0

        await eventually(let_go)


async def test_a_request_head_without_end_is_dropped(server: Server, namespace: str) -> None:
    async with serving(Config(redis=server.url, namespace=namespace, port=0)) as http:
        assert http.base_url.port is not None
        async with await anyio.connect_tcp("127.0.0.1", http.base_url.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ")

            async def endless() -> None:
                for _ in range(4096):
                    await stream.send(b"x" * 4096)

            with pytest.raises(anyio.BrokenResourceError):
                await endless()
        assert (await http.get("/livez")).status_code == 200


async def test_a_server_that_is_not_there_does_not_hold_up_the_end(namespace: str) -> None:
    config = Config(redis=f"redis://127.0.0.1:{free_port()}/0", namespace=namespace, port=0)
    with anyio.fail_after(10):
        async with serving(config) as http:
            assert (await http.get("/livez")).json() == {"live": True}
