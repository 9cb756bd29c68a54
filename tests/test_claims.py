"""Claims as commands, on every server at hand: the order of the queues, and taking jobs out of them."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from streamproc.claims import Claims
from streamproc.connection import connect, ensure_functions
from streamproc.errors import ServerError, WrongKey
from streamproc.events import Event
from streamproc.keys import Keys
from streamproc.log import open_namespace
from streamproc.queues import CLAIMS, queue_member, queue_of
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

CREATED = 1_763_750_000_000


class Bench:
    """Queues as a commit would have written them."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys
        self.claims = Claims(client, keys)

    async def put(self, job: str, *, kind: str = "k", priority: int = 0, age: int = 0) -> None:
        keys = self.keys.of(job)
        for name in (queue_of(None), queue_of(kind)):
            await self.client.zadd(keys.queue(name), {queue_member(CREATED - age, job): -priority})

    async def take(self, job: str, *, kind: str | None = "k", age: int = 0) -> str | None:
        return await self.claims.take(job, CREATED - age, kind, [Event(job=job, type="job.claimed", worker="w")])

    async def log(self, job: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for _, (_, payload) in await self.client.xrange(self.keys.of(job).log)]


@pytest.fixture
async def bench(any_server: Server, namespace: str) -> AsyncIterator[Bench]:
    async with connect(any_server.url) as client:
        await ensure_functions(client)
        yield Bench(client, await open_namespace(client, namespace, 4))


async def test_jobs_wait_by_priority_then_age_over_all_partitions(bench: Bench) -> None:
    places = {"a": (0, 5), "b": (7, 1), "c": (-3, 900), "d": (7, 2), "e": (0, 80), "f": (0, 0)}
    for job, (priority, age) in places.items():
        await bench.put(job, priority=priority, age=age)
    await bench.put("g", kind="l", priority=9)
    found = await bench.claims.heads([None, "k", "l", "m"], 10)
    assert {kind: "".join(waiting.job for waiting in found[kind]) for kind in found} == {
        None: "gdbeafc",
        "k": "dbeafc",
        "l": "g",
        "m": "",
    }


async def test_only_so_many_jobs_of_each_partition_are_read(bench: Bench) -> None:
    for number in range(40):
        await bench.put(f"j{number}", age=number)
    found = await bench.claims.heads([None], 2)
    assert len(found[None]) == 8
    assert found[None][0].job == "j39"


async def test_a_queue_of_another_type_is_named(bench: Bench) -> None:
    await bench.put("a")
    for name in (queue_of("k"), queue_of(None)):
        key = bench.keys.of("a").queue(name)
        await bench.client.delete(key)
        await bench.client.set(key, "somebody else's")
        with pytest.raises(ServerError, match=re.escape(key)):
            await bench.claims.heads(["k"], 1)


async def test_of_many_who_take_a_job_one_gets_it_and_appends_its_event(bench: Bench) -> None:
    await bench.put("a")
    positions: list[str | None] = []

    async def take() -> None:
        positions.append(await bench.take("a"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(take)
    assert sum(position is not None for position in positions) == 1
    assert [event["type"] for event in await bench.log("a")] == ["job.claimed"]
    assert (await bench.claims.heads([None, "k"], 10)) == {None: [], "k": []}


async def test_what_does_not_wait_is_not_taken_and_nothing_is_appended(bench: Bench) -> None:
    await bench.put("a")
    assert await bench.take("b") is None
    assert await bench.take("a", age=1) is None
    assert await bench.log("a") == await bench.log("b") == []


@pytest.mark.parametrize("which", [queue_of(None), queue_of("k"), "log"])
async def test_a_key_of_another_type_is_named_and_nothing_is_written(bench: Bench, which: str) -> None:
    await bench.put("a")
    keys = bench.keys.of("a")
    key = keys.prefix + which
    await bench.client.delete(key)
    await bench.client.set(key, "somebody else's")
    others = [name for name in (keys.queue(queue_of(None)), keys.queue(queue_of("k"))) if name != key]
    before = [await bench.client.dump(name) for name in others]
    with pytest.raises(WrongKey, match=which):
        await bench.take("a")
    assert [await bench.client.dump(name) for name in others] == before


async def test_what_is_no_job_in_a_queue_is_left_where_it_is(bench: Bench) -> None:
    for name in (b"junk", b"1:\xff", b"x:a", b""):
        await bench.client.zadd(bench.keys.of("a").queue(queue_of(None)), {name: -5})
    await bench.put("a")
    assert [waiting.job for waiting in (await bench.claims.heads([None], 10))[None]] == ["a"]


async def test_who_holds_jobs_is_read_at_once(bench: Bench) -> None:
    claim = {"worker": "w1", "attempt": 1, "lease_seconds": 5.0, "position": "1-0", "held": True}
    await bench.client.hset(bench.keys.of("a").state("a"), "claim", json.dumps(claim))
    await bench.client.hset(bench.keys.of("b").state("b"), "claim", "null")
    found = await bench.claims.refusing(["a", "b", "c"])
    assert found.keys() == {"a"}
    assert (found["a"].refuses("w1"), found["a"].refuses("w2"), found["a"].refuses(None)) == (False, True, True)
    assert (await bench.claims.held("a")).claim == found["a"]
    assert (await bench.claims.held("b")).claim is None
    assert CLAIMS not in (queue_of(None), queue_of("claims"))
