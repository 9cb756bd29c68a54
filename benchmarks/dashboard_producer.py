"""The worker of `benchmarks.dashboard`: a process of its own that reports on many jobs, each so many times a second.

``python -m benchmarks.dashboard_producer REDIS JOBS RATE`` goes on until it is ended. The message of each event says
its number, and when it was sent, in ms since 1970.
"""

import sys
import time

import anyio

from streamproc.connection import connect
from streamproc.log import open_namespace


async def main(redis: str, jobs: int, rate: int) -> None:
    """Append, evenly spread over time."""
    async with connect(redis) as client:
        keys = await open_namespace(client, "sp", 16)
        sent, begin = 0, time.perf_counter()
        while True:
            due = int((time.perf_counter() - begin) * rate * jobs) - sent
            if due > 0:
                async with client.pipeline(transaction=False) as pipe:
                    for number in range(sent, sent + due):
                        pipe.execute_command("XADD", keys.of(job(number % jobs)).log, "*", "e", event(number, jobs))
                    await pipe.execute()
                sent += due
            await anyio.sleep(0.005)


def job(number: int) -> str:
    return f"shown-{number:04}"


def event(number: int, jobs: int) -> str:
    turn = number // jobs
    return (
        f'{{"job":"{job(number % jobs)}","type":"job.progressed","percent":{turn % 1000 / 10},'
        f'"message":"{turn} {time.time_ns() // 1_000_000}"}}'
    )


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), backend_options={"use_uvloop": True})
