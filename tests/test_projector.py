"""The projector on a real server: exactly once, whatever happens."""

import json
from typing import Any

import anyio
import pytest
from anyio import to_thread
from redis.asyncio import Redis

from projections import ALL, STALLS
from projections.history import History
from projections.job import State
from projections.snapshot import Snapshot
from streamproc import projector
from streamproc.config import Config
from streamproc.connection import call, connect
from streamproc.errors import ServerUnavailable
from streamproc.events import RecordedEvent
from streamproc.keys import Keys
from streamproc.log import Log, open_namespace
from tests.support.folding import refolded, stored
from tests.support.running import caught_up, eventually, projecting
from tests.support.servers import Server, free_port

pytestmark = pytest.mark.anyio


async def append(client: Redis, keys: Keys, events: list[dict[str, Any]]) -> list[str]:
    return await Log(client, keys).append((event["job"], json.dumps(event).encode()) for event in events)


def mixed_load(count: int, jobs: int = 20, start: int = 0) -> list[dict[str, Any]]:
    """Events of every shape over a few jobs, numbered by one source."""
    events: list[dict[str, Any]] = []
    for number in range(start, start + count):
        job = f"job-{number % jobs}"
        kinds: list[dict[str, Any]] = [
            {"type": "job.started", "kind": "load", "stages": [{"name": "a"}, {"name": "b", "weight": 3}]},
            {"type": "stage.progressed", "stage": "a", "percent": number % 100},
            {"type": "unit.progressed", "unit": f"u{number % 50}", "weight": number % 7, "percent": number % 100},
            {"type": "job.counted", "indicator": "rows", "unit": f"u{number % 50}", "done": 1, "total": 2},
            {"type": "job.progressed", "done": number % 9, "total": 9, "message": f"row {number}"},
            {"type": "stage.finished", "stage": "b"},
        ]
        source = {"src": f"s{number % 3}", "seq": number}
        events.append({"job": job} | kinds[(number // jobs) % len(kinds)] | source)
    return events


BAD_ENTRIES = [
    [b"e", b"not json"],
    [b"e", b"[1,2]"],
    [b"e", b'{"type":"job.started"}'],
    [b"e", b'{"job":"a b","type":"job.started"}'],
    [b"e", b'{"job":"a","type":"job.progressed","percent":"50"}'],
    [b"e", b'{"job":"a","type":"job.progressed","percent":NaN}'],
    [b"e", b'{"job":"a","type":"job.progressed","done":1' + b"0" * 400 + b"}"],
    [b"e", b'{"job":"a","type":"job.noted","details":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001],
    [b"e", b'{"job":"a","type":"stage.started","stage":"x\\u0000y"}'],
    [b"e", b'{"job":"a","type":"job.noted","message":"\\ud800"}'],
    [b"e", b'{"job":"a","type":"job.noted","message":"\xff"}'],
    [b"e", b'{"job":"a","type":"job.noted","colour":"\xff"}'],
    [b"e", b'{"job":"a","type":"job.noted","message":"' + b"x" * 70_000 + b'"}'],
    [b"other", b"field"],
    [b"e", b'{"job":"a","type":"job.started"}', b"more", b"than e"],
]


async def test_what_cannot_be_decoded_is_a_dead_letter_and_the_partition_goes_on(
    any_server: Server, namespace: str
) -> None:
    config = Config(redis=any_server.url, namespace=namespace, partitions=1)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 1)
        partition = keys.partitions[0]
        for fields in BAD_ENTRIES:
            await call(client, "XADD", partition.log, "*", *fields)
            await append(client, keys, [{"job": "good", "type": "job.noted"}])
        async with projecting(config):
            await caught_up(client, keys)
        letters = await client.xrange(partition.dead)
        assert [fields[2:] for _, fields in letters] == BAD_ENTRIES
        assert all(fields[0] == b"reason" and fields[1] for _, fields in letters)
        assert json.loads(await client.hget(partition.state("good"), "snapshot"))["events"] == len(BAD_ENTRIES)
        assert not await client.exists(partition.state("a"))
        assert await stored(client, keys) == await refolded(client, keys)


async def test_an_event_in_another_partition_than_its_jobs_is_a_dead_letter(server_url: str, namespace: str) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=2)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 2)
        home = keys.of("a").partition
        wrong = keys.partitions[1 - home]
        await call(client, "XADD", wrong.log, "*", "e", b'{"job":"a","type":"job.started"}')
        async with projecting(config):
            await caught_up(client, keys)
        [[_, fields]] = await client.xrange(wrong.dead)
        assert f"lives in partition {home}" in fields[1].decode()
        assert not await client.exists(wrong.state("a"))


class Touchy(Snapshot):
    """A snapshot with a bug: it changes the state, and then fails."""

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        super().evolve(state, recorded)
        if recorded.event.message == "boom":
            raise ZeroDivisionError("a bug")


async def test_an_event_that_makes_a_fold_fail_is_a_dead_letter_and_leaves_no_trace(
    server_url: str, namespace: str
) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=1)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 1)
        state = keys.partitions[0].state("a")
        async with projecting(config, (Touchy(), History())):
            await append(client, keys, [{"job": "a", "type": "job.progressed", "percent": 10}])
            await caught_up(client, keys)
            boom = {"job": "a", "type": "job.finished", "message": "boom"}
            good = {"job": "a", "type": "job.noted", "message": "after"}
            late = [{"job": "b", "type": "job.finished"}, {"job": "b", "type": "job.noted"}]
            positions = (await append(client, keys, [*late, good, boom, good, boom, good]))[len(late) :]
            await caught_up(client, keys)
        letters = await client.xrange(keys.partitions[0].dead)
        assert [position.decode() for position, _ in letters] == [positions[1], positions[3]]
        assert b"ZeroDivisionError" in letters[0][1][1]
        snapshot = json.loads(await client.hget(state, "snapshot"))
        assert (snapshot["percent"], snapshot["events"], snapshot["message"]) == (10, 4, "after")
        assert (snapshot["status"], snapshot["late"], snapshot["duplicates"]) == ("running", 0, 0)
        other = json.loads(await client.hget(keys.partitions[0].state("b"), "snapshot"))
        assert (other["late"], other["duplicates"]) == (1, 0)
        assert len(await client.xrange(keys.partitions[0].events("a"))) == 4


async def test_a_cache_far_too_small_changes_nothing(server_url: str, namespace: str) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=2, cache_bytes=1024 * 1024)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 2)
        many = [
            {"job": f"j{number % 1500}", "type": "unit.progressed", "unit": f"u{number % 7}", "percent": number % 100}
            for number in range(6000)
        ]
        large = [
            {"job": "large", "type": "unit.progressed", "unit": f"u{number % 4000}", "percent": number % 90}
            for number in range(12_000)
        ]
        async with projecting(config):
            for at in range(0, 6000, 500):
                await append(client, keys, many[at : at + 500] + large[2 * at : 2 * at + 1000])
            await caught_up(client, keys)
        assert await stored(client, keys) == await refolded(client, keys)


async def test_projectors_share_partitions_and_hand_over_when_stopped(server_url: str, namespace: str) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=8, lease_seconds=1.0)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 8)

        async def owners() -> list[str]:
            found = [await client.get(partition.owner) for partition in keys.partitions]
            return [owner.decode().split(":")[1] for owner in found if owner is not None]

        async def shared() -> bool:
            held = await owners()
            return sorted(held.count(name) for name in set(held)) == [4, 4]

        async with projecting(config):
            async with projecting(config):
                await append(client, keys, mixed_load(2000))
                await eventually(shared, what="sharing")
                await append(client, keys, mixed_load(2000, start=2000))
            await append(client, keys, mixed_load(2000, start=4000))
            await caught_up(client, keys)
            assert len(set(await owners())) == 1
        assert await owners() == []
        assert await stored(client, keys) == await refolded(client, keys)


async def test_a_server_that_is_killed_and_comes_back_loses_nothing_that_it_kept(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(redis=own_server.url, partitions=4, lease_seconds=1.0)
    async with connect(config.redis) as client, projecting(config):
        keys = await open_namespace(client, "sp", 4)
        for turn in range(3):
            await append(client, keys, mixed_load(1500, start=turn * 1500))
            await to_thread.run_sync(own_server.kill)
            await to_thread.run_sync(own_server.start)
        await append(client, keys, mixed_load(100, start=9000))
        await caught_up(client, keys)
        assert await stored(client, keys) == await refolded(client, keys)
        assert (await client.xinfo_stream(keys.of("job-0").log))["length"] > 0
    waits = [record.message for record in caplog.records if "waiting for" in record.message]
    assert waits
    assert all("no answer from the Redis server" in wait for wait in waits)


async def test_functions_that_the_server_lost_are_loaded_again(own_server: Server) -> None:
    config = Config(redis=own_server.url, partitions=1)
    async with connect(config.redis) as client, projecting(config):
        keys = await open_namespace(client, "sp", 1)
        await append(client, keys, mixed_load(10))
        await caught_up(client, keys)
        await client.function_flush()
        await append(client, keys, mixed_load(10, start=10))
        await caught_up(client, keys)
        assert await stored(client, keys) == await refolded(client, keys)


async def test_a_key_that_holds_something_else_stops_its_partition_until_it_is_moved(
    server_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=1, lease_seconds=0.5)
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 1)
        history = keys.partitions[0].events("job-3")
        await client.set(history, "somebody else's")
        await append(client, keys, mixed_load(200))
        async with projecting(config):

            async def named() -> bool:
                return history in caplog.text

            await eventually(named, what="naming the key")
            assert await client.hget(keys.partitions[0].group, "cursor") == b"0-0"
            await client.delete(history)
            await caught_up(client, keys)
        assert await stored(client, keys) == await refolded(client, keys)


async def test_a_server_that_is_not_there_at_the_start_is_named() -> None:
    config = Config(redis=f"redis://:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(ServerUnavailable, match=r"no Redis server answers at redis://\*\*\*@127.0.0.1") as raised:
        await projector.run(config, ALL, STALLS, stop=anyio.Event())
    assert "secret" not in str(raised.value)
