"""How long an appended event takes to reach an SSE client, and what `streamproc up` weighs when idle.

A real `streamproc up` (embedded server, one projector, gateway); this process appends at a fixed rate, straight into
the log, and holds one SSE connection a job. Each event carries when it was sent, by the clock that its arrival
is read from. All of it shares the machine.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import DEVNULL, PIPE
from typing import Any
from urllib.parse import urlsplit

import anyio
import psutil
from anyio.abc import TaskStatus

from benchmarks.report import Figure, machine, print_report
from streamproc.connection import call, connect
from streamproc.inspection import report_server
from streamproc.log import open_namespace

_SENT = re.compile(rb'"message":"(\d+)"')


@asynccontextmanager
async def up() -> AsyncIterator[tuple[int, str, str]]:
    """`streamproc up` on a folder of its own: its process id, the server's URL, the gateway's."""
    folder = tempfile.mkdtemp(prefix="streamproc-benchmark-")
    command = [sys.executable, "-m", "streamproc", "up", "--json", "--data", folder, "--port", "0", "--redis-port", "0"]
    process = await anyio.open_process(command, stdout=PIPE, stderr=DEVNULL)
    try:
        assert process.stdout is not None
        addresses = json.loads(await process.stdout.receive())
        yield process.pid, addresses["redis"], addresses["gateway"]
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def idle_megabytes(pid: int) -> float:
    """Resident memory of a process and all below it, each shared page once."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes) / 2**20


async def follow(gateway: str, job: str, mode: str, waits: list[float], *, task_status: TaskStatus[None]) -> None:
    """One SSE client: note how long each message was on its way."""
    address = urlsplit(gateway)
    assert address.hostname
    async with await anyio.connect_tcp(address.hostname, address.port or 80) as stream:
        query = "?events=all" if mode == "events" else ""
        await stream.send(f"GET /v1/jobs/{job}/stream{query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        seen = b""
        while b"200 OK" not in seen:
            seen += await stream.receive()
        task_status.started()
        rest = b""
        async for chunk in stream:
            now = time.perf_counter_ns()
            *whole, rest = (rest + chunk).split(b"\n\n")
            for message in whole:
                sent = _SENT.search(message)
                if sent is not None:
                    waits.append((now - int(sent[1])) / 1e6)


async def run_once(redis: str, gateway: str, mode: str, jobs: int, rate: int, seconds: float, turn: int) -> list[float]:
    """Milliseconds from just before the append to the client, of each message."""
    waits: list[float] = []
    names = [f"latency-{turn}-{number}" for number in range(jobs)]
    async with connect(redis) as client, anyio.create_task_group() as tasks:
        keys = await open_namespace(client, "sp", 16)
        for name in names:
            await call(client, "XADD", keys.of(name).log, "*", "e", f'{{"job":"{name}","type":"job.started"}}')
        await anyio.sleep(0.5)
        for name in names:
            await tasks.start(lambda name=name, **kw: follow(gateway, name, mode, waits, **kw))
        sent, begin = 0, time.perf_counter()
        while sent < rate * seconds:
            due = int((time.perf_counter() - begin) * rate) - sent
            if due <= 0:
                await anyio.sleep(0.0005)
                continue
            async with client.pipeline(transaction=False) as pipe:
                for number in range(sent, sent + due):
                    name = names[number % jobs]
                    event = f'{{"job":"{name}","type":"job.progressed","percent":{number % 100},"message":"%d"}}'
                    pipe.execute_command("XADD", keys.of(name).log, "*", "e", event % time.perf_counter_ns())
                await pipe.execute()
            sent += due
        await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()
    if mode == "events":
        assert len(waits) >= sent, f"{sent} events were sent and {len(waits)} arrived"
    return waits


async def main(runs: int, jobs: int, rate: int, seconds: float) -> None:
    load = os.getloadavg()[0]
    figures: dict[str, Figure] = {}
    idle = figures["idle"] = Figure("resident memory of `up`, idle, in all", "MB", [], "<= 150")
    for _ in range(runs):
        async with up() as (pid, _, _):
            await anyio.sleep(2)
            idle.runs.append(idle_megabytes(pid))
    async with up() as (_, redis, gateway):
        async with connect(redis) as client:
            about = await report_server(client)
        for mode in ("snapshot", "events"):
            p50 = figures[f"{mode} p50"] = Figure(f"append -> SSE client, {mode}: p50", "ms", [], "<= 5")
            p99 = figures[f"{mode} p99"] = Figure(f"append -> SSE client, {mode}: p99", "ms", [], "<= 25")
            for turn in range(runs):
                waits = await run_once(redis, gateway, mode, jobs, rate, seconds, turn + runs * (mode == "events"))
                cuts = statistics.quantiles(waits, n=100)
                p50.runs.append(cuts[49])
                p99.runs.append(cuts[98])
    settings: dict[str, Any] = {
        "events a second": rate,
        "jobs": jobs,
        "clients": f"{jobs}, one a job",
        "seconds a run": seconds,
        "durability": "everysec",
    }
    ran_on = machine(f"{about.kind} {about.version}") | {"load_before": load}
    print_report("streamproc latency", ran_on, settings, list(figures.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    anyio.run(
        main, arguments.runs, arguments.jobs, arguments.rate, arguments.seconds, backend_options={"use_uvloop": True}
    )
