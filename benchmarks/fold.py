"""How fast one projector process makes committed snapshots and histories of a log.

The log is filled first; then a real `streamproc projector` process folds it on an embedded server as `up` starts it,
so server and projector share the machine. The rate is that between the first commit seen and the last.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import Process
from msgspec import Struct
from redis.asyncio import Redis

from benchmarks.report import Figure, machine, print_report
from benchmarks.server import fresh_server
from streamproc.connection import call, connect
from streamproc.inspection import report_server
from streamproc.keys import Keys
from streamproc.log import open_namespace

_FILL = """
local at, rounds, first = 0, tonumber(ARGV[1]), 4
for round = 0, rounds - 1 do
  for i = first, #ARGV do
    at = at + 1
    redis.call('XADD', KEYS[1], '*', 'e', string.format(ARGV[2], ARGV[i], at, round % 100))
  end
end
return at
"""
_PROGRESS = '{"job":"%s","type":"job.progressed","src":"4f9c2d7be1a0","seq":%d,"percent":%d.25}'
_UNIT = '{"job":"one","type":"unit.progressed","unit":"%s","src":"4f9c2d7be1a0","seq":%d,"percent":%d.25}'


class Case(Struct):
    """What the log holds: `things` (jobs, or units of one job), each in turn, `rounds` times over."""

    name: str
    things: int
    rounds: int
    partitions: int = 16
    units: bool = False
    limit: str = ""


CASES = [
    Case("50 jobs in turn", 50, 16_000, limit=">= 250,000"),
    Case("1,000 jobs in turn", 1000, 800, limit=">= 120,000"),
    Case("100,000 jobs in turn", 100_000, 5, limit=">= 0.75 x 1,000 jobs"),
    Case("1,000 jobs in turn, one partition", 1000, 300, partitions=1),
    Case("100,000 jobs in turn, one partition", 100_000, 4, partitions=1),
    Case("one job with 10 units", 10, 40_000, units=True),
    Case("one job with 100,000 units", 100_000, 4, units=True, limit=">= 0.9 x 10 units"),
]


async def fill(client: Redis, keys: Keys, case: Case) -> int:
    """Put a case's events into the log. Returns how many."""
    names: dict[int, list[str]] = {}
    for number in range(case.things):
        name = f"unit-{number}" if case.units else f"job-{number}"
        names.setdefault(keys.of("one" if case.units else name).partition, []).append(name)
    template = _UNIT if case.units else _PROGRESS
    for partition, own in names.items():
        log = keys.partitions[partition].log
        await call(client, "EVAL", _FILL, 1, log, case.rounds, template, "", *own)
    return case.things * case.rounds


async def forget(client: Redis, keys: Keys) -> None:
    """Delete all that was made of the log."""
    for partition in keys.partitions:
        names = [name async for name in client.scan_iter(match=f"{partition.prefix}*", count=5000)]
        made = [name for name in names if name != partition.log.encode()]
        for at in range(0, len(made), 5000):
            await client.unlink(*made[at : at + 5000])
        if await client.exists(partition.log):
            await client.xgroup_destroy(partition.log, Keys.GROUP)


async def folded(client: Redis, keys: Keys) -> int:
    async with client.pipeline(transaction=False) as pipe:
        for partition in keys.partitions:
            pipe.hget(partition.group, "read")
        return sum(int(read or 0) for read in await pipe.execute())


async def run_once(client: Redis, keys: Keys, url: str, events: int) -> float:
    """Events a second of one projector process, from its first commit to its last."""
    process = await anyio.open_process(
        [sys.executable, "-m", "streamproc", "projector", "--redis", url], stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        first: tuple[float, int] | None = None
        while True:
            await anyio.sleep(0.02)
            now, done = time.perf_counter(), await folded(client, keys)
            if first is None and done:
                first = now, done
            if done >= events:
                assert first is not None
                return (events - first[1]) / (now - first[0])
            assert process.returncode is None, "the projector ended"
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def run_case(case: Case, runs: int) -> tuple[Figure, str]:
    async with fresh_server() as server, connect(server.url, timeout=120) as client:
        keys = await open_namespace(client, "sp", case.partitions)
        events = await fill(client, keys, case)
        rates = []
        for _ in range(runs):
            rates.append(await run_once(client, keys, server.url, events))
            await forget(client, keys)
        about = await report_server(client)
        return Figure(case.name, "events/s", rates, case.limit), f"{about.kind} {about.version}"


def ratio(name: str, figures: Sequence[Figure], of: str, to: str, limit: str) -> Figure:
    runs = {figure.name: figure.runs for figure in figures}
    return Figure(name, "", [one / other for one, other in zip(runs[of], runs[to], strict=True)], limit)


async def main(runs: int, only: str) -> None:
    figures, server = [], ""
    load = os.getloadavg()[0]
    for case in CASES:
        if only in case.name:
            figure, server = await run_case(case, runs)
            print(figure.line(), file=sys.stderr)
            figures.append(figure)
    if not only:
        figures += [
            ratio("100,000 jobs to 1,000 jobs", figures, "100,000 jobs in turn", "1,000 jobs in turn", ">= 0.75"),
            ratio(
                "100,000 jobs to 1,000 jobs, one partition", figures,
                "100,000 jobs in turn, one partition", "1,000 jobs in turn, one partition", "",
            ),
            ratio("100,000 units to 10", figures, "one job with 100,000 units", "one job with 10 units", ">= 0.9"),
        ]  # fmt: skip
    settings: dict[str, Any] = {
        "durability": "everysec",
        "projectors": 1,
        "partitions": "16 unless said",
        "event": "job.progressed or unit.progressed with src, seq and percent: about 90 bytes",
    }
    print_report("streamproc fold", machine(server) | {"load_before": load}, settings, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="only the cases whose names hold this")
    arguments = parser.parse_args()
    anyio.run(main, arguments.runs, arguments.only, backend_options={"use_uvloop": True})
