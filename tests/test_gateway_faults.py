"""Live streams under faults: gateways that are killed, clients that go or never read, doorbells that get lost."""

import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import psutil
import pytest

from streamproc import hub
from streamproc.config import Config
from streamproc.connection import connect
from streamproc.gateway import clients, fanout, followers
from streamproc.gateway.connections import HttpConnection
from streamproc.log import Log, open_namespace
from tests.support.gateways import PARTITIONS, messages, serving, serving_with_projector
from tests.support.processes import Gateway
from tests.support.running import caught_up, eventually, projecting
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

DISCONNECTS = int(os.environ.get("STREAMPROC_TEST_DISCONNECTS", "1500"))


class Tail:
    """A lossless client over a plain socket: it goes on where it was, as often as its connection breaks.

    Args:
        port: of the gateway.
        path: of the stream.
    """

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self.token = b""
        self.positions: list[str] = []
        self.ended = False
        self.connections = 0

    async def follow(self) -> None:
        """Up to the end of the stream, whatever happens on the way."""
        while not self.ended:
            try:
                await self._connection()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            last = b"Last-Event-ID: %b\r\n" % self.token if self.token else b""
            writer.write(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n" % (self._path.encode(), last))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionResetError(head)
            self.connections += 1
            token = b""
            while (line := await reader.readline()) not in (b"", b"0\r\n"):  # the last chunk
                name, _, value = line.rstrip().partition(b": ")
                if name == b"id":
                    token = value
                elif name == b"data" and token:
                    self.token, token = token, b""
                    self.positions.append(json.loads(value)["position"])
                elif (name, value) == (b"event", b"end"):
                    self.ended = True
                    return
            raise ConnectionResetError("the stream broke off")
        finally:
            writer.close()


async def test_every_event_comes_once_though_the_gateway_is_killed_under_500_tails(
    server: Server, namespace: str
) -> None:
    jobs = [f"job-{number}" for number in range(50)]
    config = Config(redis=server.url, namespace=namespace, partitions=PARTITIONS)
    async with projecting(config), connect(server.url) as client:
        keys = await open_namespace(client, namespace, PARTITIONS)
        log, sent = Log(client, keys), {job: list[str]() for job in jobs}

        async def append(kind: str) -> None:
            events = [(job, json.dumps({"job": job, "type": kind}).encode()) for job in jobs]
            for (job, _), position in zip(events, await log.append(events), strict=True):
                sent[job].append(position)

        await append("job.started")
        await caught_up(client, keys)
        gateway = Gateway(server.url, namespace).start()
        try:
            tails = [Tail(gateway.port, f"/v1/jobs/{job}/stream?events=all") for job in jobs for _ in range(10)]
            async with asyncio.TaskGroup() as tasks:
                for tail in tails:
                    tasks.create_task(tail.follow())
                for _ in range(2):
                    for _ in range(5):
                        await append("job.noted")

                    async def under_way() -> bool:
                        return all(len(tail.positions) > tail.connections for tail in tails)

                    await eventually(under_way, seconds=30, what="following")
                    gateway.kill()
                    await append("job.noted")
                    gateway.start()
                    await append("job.noted")
                await append("job.finished")
        finally:
            gateway.kill()
    for number, tail in enumerate(tails):
        assert tail.positions == sent[jobs[number // 10]]


def connections(port: int) -> int:
    """Descriptors of connections that came in at a port."""
    found = psutil.Process().net_connections("tcp")
    return sum(each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in found)


async def test_who_goes_at_any_moment_leaves_no_task_subscription_or_descriptor(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.1)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append(*[{"job": f"j{number}", "type": "job.started"} for number in range(20)])
        port = service.http.base_url.port
        assert port is not None
        paths = [
            *("/v1/jobs/j{0}/stream", "/v1/jobs/j{0}/stream?events=all"),
            *("/v1/stream?job=j{0}&job=j1&job=new", "/v1/stream"),
        ]
        tasks_before, open_before = len(asyncio.all_tasks()), connections(port)

        async def come_and_go(number: int) -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            path = paths[number % len(paths)].format(number % 20)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await asyncio.sleep(number % 13 / 1000)
            if number % 2:
                writer.transport.abort()
            else:
                writer.close()

        for first in range(0, DISCONNECTS, 100):
            await asyncio.gather(*(come_and_go(number) for number in range(first, first + 100)))
            await service.append({"job": f"j{first % 20}", "type": "job.noted"})

        async def nothing_left() -> bool:
            reply = await service.client.execute_command("PUBSUB", "SHARDCHANNELS", f"{namespace}:*")
            return not reply and len(asyncio.all_tasks()) <= tasks_before and connections(port) <= open_before

        await eventually(nothing_left, seconds=30, what="letting go")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_goes_in_mid_burst_is_not_written_to(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    connection = HttpConnection.__new__(HttpConnection)  # without the server that there is one for
    connection.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
    theirs.close()
    for _ in range(20):
        connection.write(b"data: {}\n\n")
    connection.abort()
    assert caplog.messages == []


async def test_doorbells_that_get_lost_or_come_twice_cost_no_event_and_no_end(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = hub.Hub._heard
    draw = random.Random(7)

    def unreliable(self: hub.Hub, channel: bytes, message: bytes) -> None:
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            heard(self, channel, message)

    monkeypatch.setattr(hub.Hub, "_heard", unreliable)
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.1)
    jobs = [f"j{number}" for number in range(8)]
    async with serving_with_projector(server.url, namespace) as service:
        sent: dict[str, list[str]] = {job: [] for job in jobs}

        async def append(kind: str) -> None:
            for job, position in zip(
                jobs, await service.append(*[{"job": job, "type": kind} for job in jobs]), strict=True
            ):
                sent[job].append(position)

        await append("job.started")
        port = service.http.base_url.port
        assert port is not None
        tails = [Tail(port, f"/v1/jobs/{job}/stream?events=all") for job in jobs]
        ends = []

        async def view(job: str) -> None:
            async with service.http.stream("GET", f"/v1/jobs/{job}/stream") as response:
                found = [message async for message in messages(response)]
            assert [message.event for message in found[-2:]] == ["snapshot", "end"]
            ends.append(found[-2].data["status"])

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                for tail in tails:
                    tasks.start_soon(tail.follow)
                for job in jobs:
                    tasks.start_soon(view, job)
                for _ in range(30):
                    await append("job.noted")
                await append("job.finished")
        assert [tail.positions for tail in tails] == [sent[job] for job in jobs]
        assert ends == ["finished"] * len(jobs)


@asynccontextmanager
async def stalled(port: int | None, path: str) -> AsyncIterator[socket.socket]:
    """A client that asks and then never reads."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert await loop.sock_recv(client, 15) == b"HTTP/1.1 200 OK"
        yield client


def buffered() -> int:
    """The most that is held for one client here."""
    sizes = (
        each._connection.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        for running in fanouts
        for each in running.clients
    )
    return max(sizes, default=0)


fanouts: list[fanout.Fanout] = []


@pytest.fixture
def kept_fanouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the fan-outs that are made, to look into."""
    made = fanout.Fanout.__init__

    def remembered(self: fanout.Fanout, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        fanouts.append(self)

    fanouts.clear()
    monkeypatch.setattr(fanout.Fanout, "__init__", remembered)


async def test_who_never_reads_is_held_little_delays_nobody_and_is_cut_off(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch, kept_fanouts: None
) -> None:
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.05)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        port = service.http.base_url.port
        assert port is not None
        tail, large, most = Tail(port, "/v1/jobs/a/stream?events=all"), "x" * 50_000, 0
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            for number in range(20):
                path = f"/v1/jobs/a/stream{'?events=all' if number % 2 else ''}"
                await stack.enter_async_context(stalled(port, path))
            tasks.start_soon(tail.follow)
            for _ in range(300):
                await service.append({"job": "a", "type": "job.noted", "details": {"large": large}})
                most = max(most, buffered())
            monkeypatch.setattr(clients, "_STALLED_SECONDS", 0.1)

            async def cut_off() -> bool:
                return len(fanouts[0].clients) == 1

            await eventually(cut_off, what="cutting off")
            await service.append({"job": "a", "type": "job.finished"})
        assert len(tail.positions) == 302
        assert tail.connections == 1
        assert most < 2**20, "some events, and what the connection buffers; not a page of 5 MB, nor all 15"


async def test_a_history_of_large_events_comes_whole_and_little_of_it_is_held_for_who_never_reads(
    server: Server, namespace: str, kept_fanouts: None
) -> None:
    async with serving_with_projector(server.url, namespace) as service:
        large = {"job": "a", "type": "job.noted", "details": {"large": "x" * 50_000}}
        for _ in range(6):
            await service.append(*[large] * 20)
        await service.append({"job": "a", "type": "job.finished"})
        port = service.http.base_url.port
        assert port is not None
        async with stalled(port, "/v1/jobs/a/stream?events=all"):

            async def held() -> bool:
                return buffered() > 0

            await eventually(held, what="holding something")
            tail = Tail(port, "/v1/jobs/a/stream?events=all")
            await tail.follow()
            assert len(tail.positions) == 121
            assert buffered() < 2**20


async def test_a_client_that_falls_behind_for_good_is_closed_with_the_token_to_go_on_from(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "_BEHIND_SECONDS", 0.0)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        port = service.http.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        writer.write(b"GET /v1/jobs/a/stream?events=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while b"data:" not in await reader.readline():
            pass
        for _ in range(10):  # while nothing is read
            await service.append(*[{"job": "a", "type": "job.noted", "message": "x" * 1000} for _ in range(500)])
        text = b""
        with anyio.fail_after(20):
            while b"event: closed" not in text or not text.endswith(b"\n\n\r\n0\r\n\r\n"):
                text = (text + await reader.read(65536))[-2000:]
        writer.close()
        closed = text[text.index(b"event: closed") :].split(b"\n")[1]
        data = json.loads(closed.removeprefix(b"data: "))
        assert data["reason"] == "slow"
        tail = Tail(port or 0, "/v1/jobs/a/stream?events=all")
        tail.token = data["id"].encode()
        history = (await service.http.get("/v1/jobs/a/events?limit=1000")).json()["events"]
        await service.append({"job": "a", "type": "job.finished"})
        await tail.follow()
        assert tail.positions[0] not in [event["position"] for event in history[:1]]


async def test_a_stream_ends_when_its_time_is_over_and_goes_on_where_it_was(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.02)
    monkeypatch.setattr(clients, "_OF_AGE", (0.1, 0.1))
    config = Config(redis=server.url, namespace=namespace, partitions=PARTITIONS, port=0, stream_seconds=1)
    async with projecting(config), serving(config) as http, connect(server.url) as client:
        keys = await open_namespace(client, namespace, PARTITIONS)
        log = Log(client, keys)
        await log.append([("a", b'{"job":"a","type":"job.started"}')])
        await caught_up(client, keys)
        tail = Tail(http.base_url.port or 0, "/v1/jobs/a/stream?events=all")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tail.follow)

            async def came_back() -> bool:
                return tail.connections >= 3

            await eventually(came_back, what="coming back")
            sent = await log.append([("a", b'{"job":"a","type":"job.finished"}')])
        assert tail.positions[1:] == sent


async def test_streams_end_some_at_a_time_when_the_gateway_stops(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, pause, sleep = 0, 0.0123, anyio.sleep

    async def counted(seconds: float) -> None:
        nonlocal pauses
        pauses += seconds == pause
        await sleep(seconds)

    monkeypatch.setattr(fanout, "_DRAIN_STEP_SECONDS", pause)
    monkeypatch.setattr(anyio, "sleep", counted)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        begun = ended = 0

        async def follow() -> None:
            nonlocal begun, ended
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v1/jobs/a/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await reader.readuntil(b"event: snapshot")
            begun += 1
            assert b"retry: " in await reader.read()
            ended += 1
            writer.close()

        async with anyio.create_task_group() as tasks, serving(service.config) as http:
            port = http.base_url.port
            for _ in range(60):
                tasks.start_soon(follow)

            async def all_begun() -> bool:
                return begun == 60

            await eventually(all_begun)
        assert ended == 60
        assert pauses == 5
