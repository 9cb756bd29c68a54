"""Only so many kinds are remembered in a partition, whatever names jobs come with."""

import secrets
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from projections import STALLS
from streamproc import sweeper
from streamproc.config import Config
from streamproc.connection import connect, ensure_functions
from streamproc.errors import Fenced, WrongKey
from streamproc.keys import Keys, PartitionKeys
from streamproc.log import Log, open_namespace
from streamproc.owned import Partition
from streamproc.ownership import Ownership
from streamproc.store import Store
from streamproc.sweeper import Sweeper
from streamproc.sweeps import Sweeps
from tests.support.running import caught_up, eventually, projecting
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

MOST = 3


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "MOST_KINDS", MOST)


class Shelf:
    """A partition of ours, and the kinds that are remembered in it."""

    def __init__(self, client: Redis, namespace: Keys, held: Partition) -> None:
        self.client = client
        self.keys: PartitionKeys = held.lease.keys
        self.held = held
        self.sweeps = Sweeps(client)
        self.sweeper = Sweeper(self.sweeps, Store(client, namespace), STALLS, {})

    async def use(self, *kinds: str, at: int = 1_763_750_000_000) -> None:
        """Keep a run of each of these kinds, one ms after another."""
        for number, kind in enumerate(kinds, at):
            await self.client.xadd(self.keys.runs(kind), {"r": b"[]"})
            await self.client.zadd(self.keys.kinds, {kind: number})

    async def kinds(self) -> list[str]:
        """Those that are remembered, the least recently used first; all others have no runs."""
        kept = [kind.decode() for kind in await self.client.zrange(self.keys.kinds, 0, -1)]
        with_runs = await self.client.keys(f"{self.keys.prefix}kind:*:runs")
        assert sorted(with_runs) == sorted(self.keys.runs(kind).encode() for kind in kept)
        return kept


@pytest.fixture
async def shelf(any_server: Server, namespace: str) -> AsyncIterator[Shelf]:
    async with connect(any_server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 1)
        lease = await Ownership(client, keys, 60.0, "me").acquire(0)
        assert lease is not None
        yield Shelf(client, keys, Partition(lease))


async def test_the_kinds_that_were_used_least_recently_are_forgotten_with_their_runs(shelf: Shelf) -> None:
    await shelf.use("a", "b b", "c:runs", "Grün", "e")
    await shelf.use("a", at=1_763_750_000_100)
    await shelf.sweeper.forget_kinds(shelf.held)
    assert await shelf.kinds() == ["Grün", "e", "a"]


async def test_as_many_as_may_be_are_kept(shelf: Shelf) -> None:
    await shelf.use("a", "b", "c")
    await shelf.sweeper.forget_kinds(shelf.held)
    assert await shelf.kinds() == ["a", "b", "c"]


async def test_a_flood_of_kinds_is_forgotten_in_one_sweep(shelf: Shelf) -> None:
    names = [f"kind-{number:03}" for number in range(250)]
    await shelf.use(*names)
    await shelf.sweeper.forget_kinds(shelf.held)
    assert await shelf.kinds() == names[-MOST:]


async def test_a_kind_that_is_used_while_it_is_forgotten_stays(shelf: Shelf) -> None:
    await shelf.use("a", "b", "c", "d", "e")
    stale = await shelf.sweeps.stale_kinds(shelf.keys, MOST, 100)
    assert [kind for kind, _ in stale] == ["a", "b"]
    await shelf.use("a", at=1_763_750_000_100)
    assert await shelf.sweeps.forget_kinds(shelf.held.lease, stale) == 1
    assert await shelf.kinds() == ["c", "d", "e", "a"]
    assert await shelf.sweeps.forget_kinds(shelf.held.lease, stale) == 0


async def test_a_stale_owner_forgets_nothing(shelf: Shelf) -> None:
    await shelf.use("a", "b", "c", "d")
    await shelf.client.set(shelf.keys.owner, "2:another")
    with pytest.raises(Fenced):
        await shelf.sweeper.forget_kinds(shelf.held)
    assert await shelf.kinds() == ["a", "b", "c", "d"]


async def test_where_a_key_holds_something_else_nothing_is_forgotten(shelf: Shelf) -> None:
    await shelf.use("a", "b", "c", "d", "e")
    await shelf.client.delete(shelf.keys.runs("b"))
    await shelf.client.set(shelf.keys.runs("b"), "somebody's")
    with pytest.raises(WrongKey, match="kind:b:runs"):
        await shelf.sweeper.forget_kinds(shelf.held)
    assert await shelf.kinds() == ["a", "b", "c", "d", "e"]


async def test_a_projector_forgets_the_kinds_of_the_partitions_that_it_owns(server: Server, namespace: str) -> None:
    config = Config(redis=server.url, namespace=namespace, partitions=2, stall_seconds={"*": 1})
    async with connect(config.redis) as client, projecting(config):
        keys = await open_namespace(client, namespace, 2)
        for _ in range(20):
            job, kind = secrets.token_hex(4), secrets.token_hex(4)
            await Log(client, keys).append([(job, f'{{"job":"{job}","type":"job.queued","kind":"{kind}"}}'.encode())])
        await caught_up(client, keys)

        async def few_are_left() -> bool:
            return all([await client.zcard(partition.kinds) <= MOST for partition in keys.partitions])

        await eventually(few_are_left)
