"""What the gateway takes and gives: requests, deliveries, memory, latency, replays and returns, each beside its limit.

The embedded server, a projector and a gateway as processes of their own; the clients are one more (`http_load`).
Requests are held against an empty route of Starlette under the same server; deliveries against nginx with
nchan, a fan-out in C, where that is installed. All of it shares the machine.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import psutil
from anyio.abc import Process
from redis.asyncio import Redis

from benchmarks.http_load import raise_descriptors
from benchmarks.nchan import deliveries_of_nchan
from benchmarks.report import Figure, machine, print_report
from benchmarks.server import fresh_server
from streamproc.connection import call, connect
from streamproc.inspection import report_server
from streamproc.keys import Keys
from streamproc.log import open_namespace

CLIENTS = 1000
CROWD = 5000
JOBS = 500
RETURNING = 2000
REPLAYED = 300_000


class Load:
    """The process of clients."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._rest = b""

    async def ask(self, *command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        await self._process.stdin.send(json.dumps(command).encode() + b"\n")
        while b"\n" not in self._rest:
            self._rest += await self._process.stdout.receive()
        line, self._rest = self._rest.split(b"\n", 1)
        answer = json.loads(line)
        if isinstance(answer, dict):
            assert not answer.get("errors"), answer["errors"]
            assert not answer.get("lost"), f"{answer['lost']} connections were lost"
        return answer


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[Process]:
    process = await anyio.open_process([sys.executable, "-m", *command], stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def loading(url: str) -> AsyncIterator[Load]:
    async with program("benchmarks.http_load", url) as process:
        yield Load(process)


async def first_line(process: Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.receive()


class Stack:
    """What is measured.

    Args:
        client: of the Redis server.
        redis: its URL.
        url: of the gateway.
        pid: of the gateway.
    """

    def __init__(self, client: Redis, redis: str, keys: Keys, url: str, pid: int) -> None:
        self.client = client
        self.redis = redis
        self.url = url
        self.pid = pid
        self._keys = keys

    async def append(self, *events: str) -> None:
        async with self.client.pipeline(transaction=False) as pipe:
            for event in events:
                job = event[8 : event.index('"', 8)]
                pipe.execute_command("XADD", self._keys.of(job).log, "*", "e", event)
            await pipe.execute()

    async def history(self, job: str, length: int) -> None:
        """Wait until so much of a job is folded."""
        with anyio.fail_after(120):
            while await call(self.client, "XLEN", self._keys.of(job).events(job)) < length:  # noqa: ASYNC110
                await anyio.sleep(0.05)

    def memory(self) -> float:
        """KiB that are the gateway's own."""
        return float(psutil.Process(self.pid).memory_full_info().uss / 1024)

    async def reads(self) -> int:
        """How many snapshots and pages of histories the server has read so far."""
        stats = await self.client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("hget", "xrange"))


@asynccontextmanager
async def stack() -> AsyncIterator[Stack]:
    """A server, a projector and a gateway."""
    async with AsyncExitStack() as opened:
        server = await opened.enter_async_context(fresh_server())
        projector = program("streamproc", "projector", "--redis", server.url, "--json")
        await first_line(await opened.enter_async_context(projector))
        gateway = program("streamproc", "gateway", "--redis", server.url, "--port", "0", "--json")
        process = await opened.enter_async_context(gateway)
        url = json.loads(await first_line(process))["gateway"]
        client = await opened.enter_async_context(connect(server.url))
        yield Stack(client, server.url, await open_namespace(client, "sp", 16), url, process.pid)


def started(job: str) -> str:
    return f'{{"job":"{job}","type":"job.started"}}'


def progressed(job: str, number: int) -> str:
    """An event that says when it was sent."""
    sent = time.perf_counter_ns()
    return f'{{"job":"{job}","type":"job.progressed","percent":{number % 100},"message":"{sent}"}}'


async def requests(run: Stack, figures: Callable[..., None], seconds: float) -> None:
    await run.append(started("asked"))
    await run.history("asked", 1)
    async with program("benchmarks.empty_route") as process:
        empty_url = (await first_line(process)).decode().strip()
        async with loading(empty_url) as load:
            empty = await load.ask("get", "/", 32, seconds) / seconds
    async with loading(run.url) as load:
        alive = await load.ask("get", "/livez", 32, seconds) / seconds
        answered = await load.ask("get", "/v1/jobs/asked", 32, seconds) / seconds
    figures("empty route, 32 connections", "req/s", empty)
    figures("GET of /livez, behind all that stands before routes", "req/s", alive)
    figures("GET of a snapshot, 32 connections", "req/s", answered)
    figures("GET of a snapshot / empty route", "x", answered / empty, ">= 0.5")


async def deliveries(run: Stack, figures: Callable[..., None], seconds: float) -> None:
    for mode, query in (("snapshots", ""), ("events", "?events=all")):
        job = f"shown-{mode}"
        await run.append(started(job))
        await run.history(job, 1)
        async with loading(run.url) as load:
            await load.ask("follow", [f"/v1/jobs/{job}/stream{query}"] * CLIENTS)
            await anyio.sleep(0.5)
            await load.ask("count")
            number, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < seconds:
                number += 1
                await run.append(progressed(job, number))
                await anyio.sleep(0.01)
            found = await load.ask("count")
            took = time.perf_counter() - begin
            figures(f"{CLIENTS:,} clients of one job, {mode}", "msg/s", found["messages"] / took, ">= 40,000")


async def never_reading(run: Stack, figures: Callable[..., None], seconds: float) -> None:
    """A tenth of the clients never reads: what the others get, beside what they get without those."""
    rates = []
    for idle in (0, CLIENTS // 10):
        job = f"unread-{idle}"
        await run.append(started(job))
        await run.history(job, 1)
        path = f"/v1/jobs/{job}/stream?events=all"
        async with loading(run.url) as load, AsyncExitStack() as opened:
            await load.ask("follow", [path] * (CLIENTS - CLIENTS // 10))
            for _ in range(idle):
                opened.enter_context(mute(run.url, path))
            await anyio.sleep(0.5)
            await load.ask("count")
            before, number, begin = run.memory(), 0, time.perf_counter()
            while time.perf_counter() - begin < seconds:
                number += 1
                await run.append(
                    progressed(job, number).replace('"message":"', f'"details":{{"text":"{"x" * 4000}"}},"message":"')
                )
                await anyio.sleep(0.03)
            took = time.perf_counter() - begin
            rates.append((await load.ask("count"))["messages"] / took)
            grown = (run.memory() - before) / 1024
    figures("deliveries of 4 KB where 100 of 1,000 never read / where they aren't there", "x", rates[1] / rates[0])
    figures("memory that the gateway grew by meanwhile", "MiB", grown)


@contextmanager
def mute(url: str, path: str) -> Iterator[None]:
    """A client that asks and then never reads."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield


async def nchan(figures: Callable[..., None], seconds: float) -> None:
    rate = await deliveries_of_nchan(loading, CLIENTS, seconds)
    if rate is None:
        print("nginx with nchan isn't installed (Debian: libnginx-mod-nchan), and is left out")
    else:
        figures(f"nginx with nchan: {CLIENTS:,} clients of one channel", "msg/s", rate)


async def crowd(run: Stack, figures: Callable[..., None]) -> None:
    jobs = [f"crowd-{number}" for number in range(50)]
    await run.append(*map(started, jobs))
    await run.history(jobs[-1], 1)
    async with loading(run.url) as load:
        paths = [f"/v1/jobs/{jobs[number % 50]}/stream" for number in range(CROWD)]
        await load.ask("follow", paths[:200])  # what the first ones take is the gateway's own
        await anyio.sleep(1)
        before = run.memory()
        for first in range(200, CROWD, 400):
            await load.ask("follow", paths[first : first + 400])
        await anyio.sleep(2)
        await run.append(*[progressed(job, 1) for job in jobs])
        await anyio.sleep(2)
        found = await load.ask("count")
        assert found["messages"] >= 2 * CROWD, f"{found['messages']} messages came to {CROWD} clients"
        figures(f"memory of each of {CROWD:,} clients", "KiB", (run.memory() - before) / (CROWD - 200), "<= 20")


async def latency(run: Stack, figures: Callable[..., None], rate: int, seconds: float) -> None:
    for mode, query in (("snapshots", ""), ("events", "?events=all")):
        jobs = [f"late-{mode}-{number}" for number in range(JOBS)]
        await run.append(*map(started, jobs))
        await run.history(jobs[-1], 1)
        async with loading(run.url) as load:
            await load.ask("follow", [f"/v1/jobs/{job}/stream{query}" for job in jobs])
            await anyio.sleep(1)
            await load.ask("count")
            sent, begin = 0, time.perf_counter()
            while sent < rate * seconds:
                due = int((time.perf_counter() - begin) * rate) - sent
                if due > 0:
                    await run.append(*[progressed(jobs[n % JOBS], n) for n in range(sent, sent + due)])
                    sent += due
                await anyio.sleep(0.001)
            await anyio.sleep(1)
            waits = (await load.ask("count"))["waits"]
            if mode == "events":
                assert len(waits) == sent, f"{sent} events were sent, and {len(waits)} arrived"
            cuts = statistics.quantiles(waits, n=100)
            figures(f"append -> client, {rate:,} events/s, {JOBS} jobs, {mode}: p50", "ms", cuts[49])
            figures(f"append -> client, {rate:,} events/s, {JOBS} jobs, {mode}: p99", "ms", cuts[98], "<= 25")


async def replay(run: Stack, figures: Callable[..., None]) -> None:
    for first in range(0, REPLAYED, 1000):
        await run.append(*[progressed("replayed", number) for number in range(first, first + 1000)])
    await run.history("replayed", REPLAYED)
    async with loading(run.url) as load:
        found = await load.ask("replay", "/v1/jobs/replayed/events")
    assert found["lines"] == REPLAYED
    figures(f"replay of {REPLAYED:,} events as NDJSON", "events/s", REPLAYED / found["seconds"], ">= 150,000")


async def returning(run: Stack, figures: Callable[..., None]) -> None:
    for mode, query in (("snapshots", ""), ("events", "?events=all")):
        jobs = [f"back-{mode}-{number}" for number in range(100)]
        await run.append(*map(started, jobs))
        await run.history(jobs[-1], 1)
        async with loading(run.url) as load:
            await load.ask("follow", [f"/v1/jobs/{jobs[number % 100]}/stream{query}" for number in range(RETURNING)])
            await anyio.sleep(1)
            reads = await run.reads()
            found = await load.ask("resumed")
            rounds = 1 + found["seconds"] // 3  # all watched jobs are read again every 3 s
            reads = max(0.0, await run.reads() - reads - rounds * (len(jobs) + 16))
            figures(f"{RETURNING:,} clients come back at once, {mode}", "s", found["seconds"], "<= 5")
            figures(f"reads for each job meanwhile, {mode}", "", reads / len(jobs), "<= 1")


async def main(runs: int, seconds: float, rate: int) -> None:
    raise_descriptors()
    load = os.getloadavg()[0]
    found: dict[str, Figure] = {}

    def figures(name: str, unit: str, value: float, limit: str = "") -> None:
        found.setdefault(name, Figure(name, unit, [], limit)).runs.append(value)

    async with stack() as run:
        about = await report_server(run.client)
    for _ in range(runs):
        for measured in (requests, deliveries, never_reading):
            async with stack() as run:
                await measured(run, figures, seconds)
        await nchan(figures, seconds)
        async with stack() as run:
            await latency(run, figures, rate, seconds)
        for each in (crowd, replay, returning):
            async with stack() as run:
                await each(run, figures)
    settings = {"seconds a run": seconds, "durability": "everysec", "projectors": 1, "gateways": 1}
    ran_on = machine(f"{about.kind} {about.version}") | {"load_before": load}
    print_report("streamproc gateway", ran_on, settings, list(found.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rate", type=int, default=5000)
    arguments = parser.parse_args()
    anyio.run(main, arguments.runs, arguments.seconds, arguments.rate, backend_options={"use_uvloop": True})
