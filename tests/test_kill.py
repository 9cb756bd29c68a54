"""Projector processes that are killed, stopped and replaced under load."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio import to_thread

from streamproc.connection import connect, ensure_functions
from streamproc.log import open_namespace
from tests.support.folding import refolded, stored
from tests.support.running import caught_up, eventually
from tests.support.servers import Server
from tests.test_projector import append, mixed_load

pytestmark = pytest.mark.anyio


@contextmanager
def projector_process(server: Server, namespace: str, lease: float = 0.5) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamproc", "projector", "--redis", server.url, "--json"),
            *("--namespace", namespace, "--lease-seconds", str(lease)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def wait_until_started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline(), "the projector ended before it had started"


async def test_thirty_kills_at_random_moments_under_load_leave_what_a_pure_refold_gives(
    server: Server, namespace: str
) -> None:
    chance = random.Random(30)
    async with connect(server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 4)
        sent = 0

        async def load() -> None:
            nonlocal sent
            while True:
                await append(client, keys, mixed_load(400, start=sent))
                sent += 400
                await anyio.sleep(0.02)

        async def folded() -> int:
            reads = [await client.hget(partition.group, "read") for partition in keys.partitions]
            return sum(int(read or 0) for read in reads)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            for _ in range(30):
                with projector_process(server, namespace) as process:
                    await to_thread.run_sync(wait_until_started, process)
                    enough = await folded() + chance.randrange(1, 2000)

                    async def worked(goal: int = enough) -> bool:
                        return await folded() >= goal

                    await eventually(worked, seconds=30, what="folding on")
                    process.send_signal(signal.SIGKILL)
            tasks.cancel_scope.cancel()
        with projector_process(server, namespace):
            await caught_up(client, keys, seconds=30)
        assert await stored(client, keys) == await refolded(client, keys)


async def test_a_projector_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(
    server: Server, namespace: str
) -> None:
    async with connect(server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 4)
        with projector_process(server, namespace) as frozen:
            await to_thread.run_sync(wait_until_started, frozen)
            await append(client, keys, mixed_load(2000))
            frozen.send_signal(signal.SIGSTOP)
            await append(client, keys, mixed_load(2000, start=2000))
            with projector_process(server, namespace) as other:
                await to_thread.run_sync(wait_until_started, other)
                await caught_up(client, keys)
                before = await stored(client, keys)
                frozen.send_signal(signal.SIGCONT)
                await append(client, keys, mixed_load(2000, start=4000))
                await caught_up(client, keys)
        assert before
        assert await stored(client, keys) == await refolded(client, keys)


async def test_a_projector_told_to_stop_hands_over_with_everything_folded_once(server: Server, namespace: str) -> None:
    async with connect(server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 4)
        with projector_process(server, namespace, lease=60) as process:
            await to_thread.run_sync(wait_until_started, process)
            await append(client, keys, mixed_load(3000))
            process.send_signal(signal.SIGTERM)
            assert await to_thread.run_sync(process.wait, 20) == 0
        assert [await client.get(partition.owner) for partition in keys.partitions] == [None] * 4
        with projector_process(server, namespace, lease=60) as process:
            await caught_up(client, keys)
        assert await stored(client, keys) == await refolded(client, keys)
