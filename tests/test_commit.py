"""The commit, on every server at hand: whole or not at all, by the owner, at the cursor."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from streamproc.connection import FUNCTIONS_VERSION, call, connect, ensure_functions, line
from streamproc.errors import CursorConflict, Fenced, ServerError, UnfitServer, WrongKey
from streamproc.keys import Keys, PartitionKeys
from streamproc.log import Log, open_namespace
from streamproc.ownership import Lease, Ownership
from streamproc.projection import Changes
from streamproc.store import COMMIT, Commit
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

JOB = "import-42"


class Bench:
    """One partition with one event in its log, a lease on it, and a commit of that event."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self.client = client
        self.keys = keys
        self.partition: PartitionKeys = keys.partitions[0]
        self.ownership = Ownership(client, keys, 5.0, "me")
        self.position = ""

    async def lease(self) -> Lease:
        lease = await self.ownership.acquire(0)
        assert lease is not None
        return lease

    def commit(self, lease: Lease, **changed: Any) -> Commit:
        arguments = {"start": lease.cursor, "end": self.position, "read": 1} | changed
        commit = Commit(self.partition, lease.holder, **arguments)
        changes = Changes(
            weight=1,
            live=("snapshot", b'{"percent":50}'),
            fields={"sums": b"[1]"},
            entries=[self.position, b'{"job":"import-42"}'],
            units={"u": b"{}"},
            ranks={"u": 1},
            indexes={"": 7},
        )
        commit.job(JOB, {"s": 3}, [changes])
        commit.dead_letter(self.position, [b"e", b"rubbish"], "no JSON")
        return commit

    async def send(self, commit: Commit) -> None:
        """Commit as the projector does."""
        async with line(self.client) as commits:
            await commits.send([(*COMMIT, *commit.arguments())])
            await commits.reply()

    async def contents(self) -> dict[bytes, bytes]:
        """Every key of the namespace but the lease, as the server would dump it."""
        found = {}
        async for key in self.client.scan_iter(match=f"{self.keys.namespace}:*"):
            if key != self.partition.owner.encode():
                found[key] = await self.client.dump(key)
        return found


@pytest.fixture
async def bench(any_server: Server, namespace: str) -> AsyncIterator[Bench]:
    async with connect(any_server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 1)
        bench = Bench(client, keys)
        await bench.lease()
        [bench.position] = await Log(client, keys).append([(JOB, b'{"job":"import-42","type":"job.started"}')])
        yield bench


async def test_a_commit_writes_state_history_units_indexes_dead_letters_and_the_cursor(bench: Bench) -> None:
    await bench.send(bench.commit(await bench.lease()))
    client, keys = bench.client, bench.partition
    assert await client.hgetall(keys.state(JOB)) == {b"snapshot": b'{"percent":50}', b"sums": b"[1]", b"src:s": b"3"}
    assert await client.xrange(keys.events(JOB)) == [[bench.position.encode(), [b"e", b'{"job":"import-42"}']]]
    assert await client.hgetall(keys.units(JOB)) == {b"u": b"{}"}
    assert await client.zrange(keys.ranks(JOB), 0, -1, withscores=True) == [(b"u", 1.0)]
    assert await client.zrange(keys.index(""), 0, -1, withscores=True) == [(JOB.encode(), 7.0)]
    letter = [bench.position.encode(), [b"reason", b"no JSON", b"e", b"rubbish"]]
    assert await client.xrange(keys.dead) == [letter]
    assert (await bench.lease()).cursor == bench.position


async def test_the_consumer_group_shows_the_true_lag(bench: Bench) -> None:
    [group] = await bench.client.xinfo_groups(bench.partition.log)
    assert group["lag"] == 1
    await bench.send(bench.commit(await bench.lease()))
    [group] = await bench.client.xinfo_groups(bench.partition.log)
    assert group["lag"] == 0
    assert group["last-delivered-id"].decode() == bench.position


async def test_a_commit_rings_the_doorbell_of_its_jobs_with_their_snapshots(bench: Bench) -> None:
    async with bench.client.pubsub() as heard:
        await heard.ssubscribe(bench.partition.live(JOB), bench.partition.live("another"))
        for _ in range(2):
            assert (await heard.get_message(timeout=10))["type"] == "ssubscribe"
        await bench.send(bench.commit(await bench.lease()))
        message = await heard.get_message(timeout=10)
        assert (message["channel"], message["data"]) == (bench.partition.live(JOB).encode(), b'{"percent":50}')
        assert await heard.get_message(timeout=0.1) is None


async def test_a_stale_owner_commits_nothing(bench: Bench) -> None:
    stale = await bench.lease()
    await bench.client.delete(bench.partition.owner)
    assert await Ownership(bench.client, bench.keys, 5.0, "another").acquire(0) is not None
    before = await bench.contents()
    with pytest.raises(Fenced):
        await bench.send(bench.commit(stale))
    assert await bench.contents() == before


async def test_an_owner_whose_lease_expired_commits_nothing_even_where_nobody_took_over(bench: Bench) -> None:
    stale = await bench.lease()
    await bench.client.delete(bench.partition.owner)
    before = await bench.contents()
    with pytest.raises(Fenced):
        await bench.send(bench.commit(stale))
    assert await bench.contents() == before


async def test_the_same_member_with_an_older_epoch_commits_nothing(bench: Bench) -> None:
    stale = await bench.lease()
    await bench.ownership.release(stale)
    assert (await bench.lease()).holder != stale.holder
    with pytest.raises(Fenced):
        await bench.send(bench.commit(stale))


async def test_a_batch_commits_once(bench: Bench) -> None:
    lease = await bench.lease()
    await bench.send(bench.commit(lease))
    before = await bench.contents()
    with pytest.raises(CursorConflict) as raised:
        await bench.send(bench.commit(lease))
    assert raised.value.cursor == bench.position
    assert await bench.contents() == before


async def test_a_batch_that_begins_past_the_cursor_commits_nothing(bench: Bench) -> None:
    before = await bench.contents()
    with pytest.raises(CursorConflict):
        await bench.send(bench.commit(await bench.lease(), start="5-5"))
    assert await bench.contents() == before


@pytest.mark.parametrize("which", ["state", "events", "units", "ranks", "index", "dead"])
async def test_a_key_of_another_type_is_named_and_nothing_is_written(bench: Bench, which: str) -> None:
    keys = bench.partition
    key = {"index": keys.index(""), "dead": keys.dead}.get(which) or getattr(keys, which)(JOB)
    await bench.client.set(key, "somebody else's")
    before = await bench.contents()
    with pytest.raises(WrongKey, match=which if which != "index" else "jobs"):
        await bench.send(bench.commit(await bench.lease()))
    assert await bench.contents() == before


@pytest.mark.parametrize("which", ["owner", "group", "log"])
async def test_a_partition_whose_own_keys_hold_something_else_cannot_be_taken(bench: Bench, which: str) -> None:
    key = getattr(bench.partition, which)
    await bench.client.delete(key)
    await bench.client.sadd(key, "x")
    with pytest.raises(WrongKey, match=which):
        await bench.ownership.acquire(0)


async def test_without_its_consumer_group_nothing_is_written(bench: Bench) -> None:
    lease = await bench.lease()
    await bench.client.xgroup_destroy(bench.partition.log, Keys.GROUP)
    before = await bench.contents()
    with pytest.raises(ServerError):
        await bench.send(bench.commit(lease))
    assert await bench.contents() == before
    await bench.send(bench.commit(await bench.lease()))


async def test_more_fields_than_lua_unpacks_at_once_are_written(bench: Bench) -> None:
    commit = Commit(bench.partition, (await bench.lease()).holder, "0-0", bench.position, 1)
    units = {f"unit-{number}": b"{}" for number in range(9000)}
    commit.job(JOB, {f"s{number}": number for number in range(9000)}, [Changes(weight=1, units=units)])
    await bench.send(commit)
    assert await bench.client.hlen(bench.partition.state(JOB)) == 9000
    assert await bench.client.hlen(bench.partition.units(JOB)) == 9000


async def test_a_partition_has_one_owner_and_a_new_epoch_for_each(bench: Bench) -> None:
    mine = await bench.lease()
    other = Ownership(bench.client, bench.keys, 5.0, "another")
    assert await other.acquire(0) is None
    await bench.ownership.release(mine)
    theirs = await other.acquire(0)
    assert theirs is not None
    assert int(theirs.holder.split(":")[0]) == int(mine.holder.split(":")[0]) + 1
    assert await bench.ownership.renew([mine]) == [False]
    assert await other.renew([theirs]) == [True]


async def test_a_log_that_was_recreated_begins_a_new_incarnation(bench: Bench) -> None:
    await bench.send(bench.commit(await bench.lease()))
    before = await bench.lease()
    await bench.client.delete(bench.partition.log)
    after = await bench.lease()
    assert (after.cursor, after.read) == ("0-0", 0)
    assert after.incarnation != before.incarnation


async def test_lag_is_true_where_a_log_was_trimmed_before_anybody_read_it(any_server: Server, namespace: str) -> None:
    async with connect(any_server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 1)
        await Log(client, keys).append([(JOB, b"{}")] * 10)
        await client.xtrim(keys.partitions[0].log, maxlen=4, approximate=False)
        assert await Ownership(client, keys, 5.0, "me").acquire(0) is not None
        [group] = await client.xinfo_groups(keys.partitions[0].log)
        assert group["lag"] == 4


async def test_partitions_are_shared_out_among_the_members(bench: Bench, any_server: Server) -> None:
    keys = Keys(bench.keys.namespace, 16)
    members = [Ownership(bench.client, keys, 5.0, name) for name in ("a", "b", "c")]
    for member in members:
        await member.announce()
    assert sorted([await member.announce() for member in members]) == [5, 5, 6]
    await members[0].leave()
    assert sorted([await member.announce() for member in members[1:]]) == [8, 8]


async def test_functions_of_a_newer_version_are_left_alone(own_server: Server) -> None:
    async with connect(own_server.url) as client:
        newer = "#!lua name=streamproc\nredis.register_function{function_name='sp_version', "
        newer += "callback=function() return 99 end, flags={'no-writes'}}"
        await call(client, "FUNCTION", "LOAD", newer)
        with pytest.raises(UnfitServer, match="version 99"):
            await ensure_functions(client)


async def test_functions_of_an_older_version_are_replaced(own_server: Server) -> None:
    async with connect(own_server.url) as client:
        older = "#!lua name=streamproc\nredis.register_function{function_name='sp_version', "
        older += "callback=function() return 0 end, flags={'no-writes'}}"
        await call(client, "FUNCTION", "LOAD", older)
        await ensure_functions(client)
        assert await call(client, "FCALL_RO", "sp_version", 0) == FUNCTIONS_VERSION


async def test_a_namespace_of_another_format_is_refused(bench: Bench) -> None:
    await bench.client.hset(bench.keys.meta, "format", "2")
    with pytest.raises(UnfitServer, match="format"):
        await open_namespace(bench.client, bench.keys.namespace, 1)


async def test_a_namespace_keeps_its_number_of_partitions(bench: Bench) -> None:
    keys = await open_namespace(bench.client, bench.keys.namespace, 64)
    assert len(keys.partitions) == 1
