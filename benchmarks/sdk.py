"""What reporting costs: events a second into the log, a tracked loop, and memory while the server is gone.

Each figure is of a process of its own, on an embedded server as `up` starts it; server, gateway and worker share the
machine. The ways to the log are measured in turn, run by run, so that they meet the same noise.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from subprocess import PIPE
from typing import Any, Final

import anyio
import msgspec
import psutil
import redis
from anyio.abc import TaskGroup

import streamproc
from benchmarks.report import Figure, machine, print_report
from benchmarks.server import fresh_server
from projections import ESTIMATOR, PAST
from streamproc import gateway
from streamproc.config import Config
from streamproc.connection import connect
from streamproc.inspection import report_server
from streamproc.keys import Keys
from streamproc.log import open_namespace

_EVENTS: Final = 300_000
_HTTP_EVENTS: Final = 100_000
_ITERATIONS: Final = 1_000_000
_OUTAGE_REPORTS: Final = 1_000_000
_OUTAGE_UNITS: Final = 200_000
_ROOM: Final = 2**31
"""Enough memory for all events, so that none is coalesced."""


# Workers: each is run in a process of its own, and says what it measured --------------------------------------------


def raw(url: str) -> dict[str, float]:
    """The least that a Python worker can do: encode, and XADD in pipelines of 1,000."""
    client = redis.Redis.from_url(url)
    keys, encode = Keys("sp", 16), msgspec.json.Encoder().encode
    log = keys.of("raw").log

    def work() -> None:
        for start in range(0, _EVENTS, 1000):
            with client.pipeline(transaction=False) as pipe:
                for number in range(start, start + 1000):
                    event = {"job": "raw", "type": "job.progressed", "src": "raw", "seq": number, "percent": 50.25}
                    pipe.xadd(log, {"e": encode(event)})
                pipe.execute()

    return _rate(work, _EVENTS)


def sdk(url: str, events: int = _EVENTS) -> dict[str, float]:
    """Every report is an event of its own: nothing is coalesced."""
    with streamproc.connect(url, min_interval=0, buffer_bytes=_ROOM) as sp:
        job = sp.job("sdk").start()
        sp.flush()

        def work() -> None:
            for number in range(events):
                job.percent(number % 100 + 0.25)
            assert sp.flush(120)

        found = _rate(work, events)
        assert not sp.coalesced
    return found


def sdk_over_http(url: str) -> dict[str, float]:
    return sdk(url, _HTTP_EVENTS)


def _rate(work: Callable[[], object], events: int) -> dict[str, float]:
    cpu, begun = time.process_time(), time.perf_counter()
    work()
    return {
        "rate": events / (time.perf_counter() - begun),
        "cpu": (time.process_time() - cpu) / events * 1e6,
    }


def loop(url: str) -> dict[str, float]:
    """A loop that does nothing, tracked and bare."""
    with streamproc.connect(url) as sp, sp.job("loop") as job:
        bare = min(_seconds(range(_ITERATIONS)) for _ in range(3))
        tracked = min(_seconds(job.track(range(_ITERATIONS))) for _ in range(3))
    return {"seconds": tracked - bare}


def _seconds(items: Iterable[int]) -> float:
    begun = time.perf_counter()
    for _ in items:
        pass
    return time.perf_counter() - begun


def outage(url: str) -> dict[str, float]:
    """The server is gone for the whole run, in which a worker says all that it can."""
    memory = psutil.Process().memory_info
    with streamproc.connect(url, required=False, flush_seconds=0) as sp:
        job = sp.job("outage").start()
        job.percent(0)
        before = most = memory().rss
        files = job.indicator("files")
        begun = time.perf_counter()
        for number in range(_OUTAGE_REPORTS):
            job.items(number, _OUTAGE_REPORTS, "at it")
            files.done()
            if number % (_OUTAGE_REPORTS // _OUTAGE_UNITS) == 0:
                with job.unit(f"file-{number}") as unit:
                    unit.percent(50)
            if number % 10_000 == 0:
                most = max(most, memory().rss)
        seconds = time.perf_counter() - begun
        found = {"megabytes": (most - before) / 1e6, "report": seconds / (2 * _OUTAGE_REPORTS) * 1e6}
        sp.close(timeout=0)
    return found


WORKERS: Final = {each.__name__: each for each in (raw, sdk, sdk_over_http, loop, outage)}


# The benchmark ------------------------------------------------------------------------------------------------------


async def worker(name: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sdk", "--worker", name, "--url", url]
    done = await anyio.run_process(command, stdout=PIPE, stderr=None)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def run_gateway(url: str, tasks: TaskGroup, stop: anyio.Event) -> str:
    listening, where = anyio.Event(), list[str]()

    def started(address: str) -> None:
        where.append(address)
        listening.set()

    async def serve() -> None:
        await gateway.serve(Config(redis=url, port=0), ESTIMATOR, PAST, stop=stop, started=started)

    tasks.start_soon(serve)
    await listening.wait()
    return where[0]


async def measure(runs: int) -> tuple[list[Figure], str]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WORKERS}
    async with fresh_server() as server, connect(server.url) as client, anyio.create_task_group() as tasks:
        stop = anyio.Event()
        await open_namespace(client, "sp", 16)
        http = await run_gateway(server.url, tasks, stop)
        for _ in range(runs):
            for name, measured in found.items():
                url = {"sdk_over_http": http, "outage": "redis://127.0.0.1:1/0"}.get(name, server.url)
                measured.append(await worker(name, url))
                await client.flushdb()
                await open_namespace(client, "sp", 16)
        about = await report_server(client)
        stop.set()

    def figure(name: str, unit: str, of: str, what: str, limit: str = "") -> Figure:
        return Figure(name, unit, [run[what] for run in found[of]], limit)

    ratios = [one["rate"] / other["rate"] for one, other in zip(found["sdk"], found["raw"], strict=True)]
    return [
        figure("raw pipelined XADD", "events/s", "raw", "rate"),
        figure("SDK over Redis", "events/s", "sdk", "rate", ">= 100,000"),
        figure("SDK over HTTP", "events/s", "sdk_over_http", "rate"),
        Figure("SDK over Redis to raw, run by run", "", ratios),
        figure("raw pipelined XADD, CPU of the worker", "us/event", "raw", "cpu"),
        figure("SDK over Redis, CPU of the worker", "us/event", "sdk", "cpu"),
        figure("SDK over HTTP, CPU of the worker", "us/event", "sdk_over_http", "cpu"),
        figure("1,000,000 tracked iterations, more than the bare loop", "s", "loop", "seconds", "<= 0.15"),
        figure("no server: memory more than before", "MB", "outage", "megabytes", "<= 32"),
        figure("no server: one report", "us", "outage", "report"),
    ], f"{about.kind} {about.version}"


async def main(runs: int) -> None:
    load = os.getloadavg()[0]
    figures, server = await measure(runs)
    settings: dict[str, Any] = {
        "durability": "everysec",
        "event": "job.progressed with src, seq, at and percent: about 120 bytes",
        "not coalesced": f"min_interval=0; {_EVENTS:,} events a run, {_HTTP_EVENTS:,} over HTTP",
        "no server": f"{_OUTAGE_REPORTS:,} reports and counts each, {_OUTAGE_UNITS:,} units begun and ended",
    }
    print_report("streamproc sdk", machine(server) | {"load_before": load}, settings, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker](arguments.url)))
    else:
        anyio.run(main, arguments.runs, backend_options={"use_uvloop": True})
