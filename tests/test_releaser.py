"""The releaser on a real server: which claims end, that each ends once, and only by the partition's owner."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from projections import STALLS
from streamproc.config import Config
from streamproc.connection import call, connect, ensure_functions
from streamproc.errors import Fenced
from streamproc.log import open_namespace
from streamproc.releaser import Releaser
from streamproc.store import Store
from streamproc.sweeps import Folded, Sweeps
from tests.support.fields import MINUTE, Field, OldServer
from tests.support.folding import refolded, stored
from tests.support.running import caught_up, eventually, projecting
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


class Claims(Field):
    def releaser(self, sweeps: Sweeps | None = None) -> Releaser:
        return Releaser(sweeps or OldServer(self.client), Store(self.client, self.keys), STALLS)

    async def release(self) -> list[dict[str, Any]]:
        """What an owner that has never looked before appends."""
        before = await self.client.xlen(self.partition.log)
        held = await self.held()
        await self.releaser().release(held)
        await self.ownership.release(held.lease)
        return await self.decisions(before)


@pytest.fixture
async def field(server: Server, namespace: str) -> AsyncIterator[Claims]:
    async with Claims.opened(server.url, namespace) as field:
        yield field


async def test_a_claim_ends_when_its_lease_does_and_is_put_off_by_any_word_of_the_worker(field: Claims) -> None:
    for job in ("silent", "heard", "short"):
        await field.past(10 * MINUTE, job, "job.queued")
    await field.past(9 * MINUTE, "silent", "job.claimed", worker="w", lease_seconds=300)
    await field.past(8 * MINUTE, "heard", "job.claimed", worker="w", lease_seconds=300)
    await field.past(1 * MINUTE, "short", "job.claimed", worker="w", lease_seconds=30)
    await field.past(50, "heard", "job.heartbeat", worker="w")
    await field.fold()
    found = await field.release()
    assert [(event["job"], event["type"], event["worker"]) for event in found] == [
        ("silent", "job.released", "w"),
        ("short", "job.released", "w"),
    ]
    assert found[0]["silent_seconds"] == pytest.approx(9 * MINUTE, abs=30)
    await field.fold()
    assert [(await field.snapshot(job))["status"] for job in ("silent", "heard", "short")] == [
        "queued",
        "started",
        "queued",
    ]
    assert await stored(field.client, field.keys) == await refolded(field.client, field.keys)


async def test_the_last_attempt_fails_and_what_was_to_stop_is_canceled(field: Claims) -> None:
    await field.past(10 * MINUTE, "last", "job.queued", max_attempts=2)
    await field.past(10 * MINUTE, "stop", "job.queued")
    for job in ("last", "stop"):
        await field.past(9 * MINUTE, job, "job.claimed", worker="w", lease_seconds=1, attempt=2)
    await field.past(8 * MINUTE, "stop", "job.cancel_requested")
    await field.fold()
    assert {event["job"]: event["type"] for event in await field.release()} == {
        "last": "job.failed",
        "stop": "job.canceled",
    }
    await field.fold()
    last, stop = await field.snapshot("last"), await field.snapshot("stop")
    assert (last["status"], last["error"]["type"]) == ("failed", "LeaseExpired")
    assert (stop["status"], stop["requested"]) == ("canceled", None)


async def test_a_job_that_does_not_say_how_often_it_may_be_tried_is_tried_twenty_times(field: Claims) -> None:
    for attempt in (19, 20):
        job, ago = f"a{attempt}", 10 * MINUTE - 10 * attempt
        await field.past(ago, job, "job.queued")
        await field.past(ago - 5, job, "job.claimed", worker="w", lease_seconds=1, attempt=attempt)
    await field.fold()
    assert [event["type"] for event in await field.release()] == ["job.released", "job.failed"]


class Later(Sweeps):
    """As if so many ms had gone by."""

    later = 0

    async def up_since(self) -> int:
        return 0

    async def folded(self, keys: Any) -> Folded:
        now = await super().folded(keys)
        return msgspec.structs.replace(now, now=now.now + self.later)


async def test_while_folding_lags_no_lease_ends(field: Claims) -> None:
    await field.past(10 * MINUTE, "a", "job.queued")
    await field.past(MINUTE, "a", "job.claimed", worker="w", lease_seconds=120)
    await field.fold()
    sweeps = Later(field.client)
    held, releaser = await field.held(), field.releaser(sweeps)
    await releaser.release(held)  # all that the log held is folded
    await field.past(1, "a", "job.heartbeat", worker="w")
    before = await field.client.xlen(field.partition.log)
    sweeps.later = 90_000
    await releaser.release(held)
    assert await field.decisions(before) == []


async def test_each_claim_is_ended_once_by_however_many_looks_and_owners(field: Claims) -> None:
    await field.past(10 * MINUTE, "a", "job.queued")
    await field.past(9 * MINUTE, "a", "job.claimed", worker="w", lease_seconds=60)
    await field.past(1, "another", "job.noted")
    await field.fold()
    before = await field.client.xlen(field.partition.log)
    held, releaser = await field.held(), field.releaser()
    for _ in range(3):
        await releaser.release(held)
    await field.ownership.release(held.lease)
    held = await field.held("another")
    releaser = field.releaser()
    for _ in range(3):
        await releaser.release(held)
    assert len(await field.decisions(before)) == 1


async def test_a_stale_owner_takes_no_job_from_anybody(field: Claims) -> None:
    await field.past(10 * MINUTE, "a", "job.queued")
    await field.past(9 * MINUTE, "a", "job.claimed", worker="w", lease_seconds=60)
    await field.fold()
    held = await field.held()
    await field.client.delete(field.partition.owner)
    await field.held("another")
    before = await field.client.xlen(field.partition.log)
    with pytest.raises(Fenced):
        await field.releaser().release(held)
    assert await field.decisions(before) == []


async def test_the_time_that_the_server_was_down_is_no_silence_of_a_worker(field: Claims) -> None:
    class JustUp(Sweeps):
        later = 0

        async def up_since(self) -> int:
            seconds, _ = await field.client.time()
            return 1000 * int(seconds)

        async def folded(self, keys: Any) -> Folded:
            now = await super().folded(keys)
            return msgspec.structs.replace(now, now=now.now + self.later)

    await field.past(10 * MINUTE, "a", "job.queued")
    await field.past(9 * MINUTE, "a", "job.claimed", worker="w", lease_seconds=60)
    await field.fold()
    before = await field.client.xlen(field.partition.log)
    sweeps = JustUp(field.client)
    held, releaser = await field.held(), field.releaser(sweeps)
    await releaser.release(held)
    assert await field.decisions(before) == []
    sweeps.later = 59_000
    await releaser.release(held)
    assert await field.decisions(before) == []
    sweeps.later = 62_000
    await releaser.release(held)
    assert len(await field.decisions(before)) == 1


async def test_two_projectors_end_each_claim_once(server: Server, namespace: str) -> None:
    config = Config(redis=server.url, namespace=namespace, partitions=4, lease_seconds=1.0)
    async with connect(config.redis) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 4)
        jobs = [f"j{number}" for number in range(20)]

        async def say(job: str, event: str, **fields: Any) -> None:
            payload = json.dumps({"job": job, "type": event} | fields)
            await call(client, "XADD", keys.of(job).log, "*", "e", payload)

        async def all_queued() -> bool:
            found = [await client.hget(keys.of(job).state(job), "snapshot") for job in jobs]
            return all(each is not None and json.loads(each)["status"] == "queued" for each in found)

        for job in jobs:
            await say(job, "job.queued")
        async with projecting(config), projecting(config):
            for attempt in (1, 2):
                for job in jobs:
                    await say(job, "job.claimed", worker="w", lease_seconds=1, attempt=attempt)
                await caught_up(client, keys)
                await eventually(all_queued)
        for partition in keys.partitions:
            events = [json.loads(entry[1][1]) for entry in await client.xrange(partition.log)]
            released = [event["job"] for event in events if event["type"] == "job.released"]
            assert sorted(released) == sorted(2 * list({event["job"] for event in events}))
