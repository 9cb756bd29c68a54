"""The hub: what watchers see, whatever becomes of doorbells, connections and the past."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis

from streamproc import hub as hub_module
from streamproc.connection import connect
from streamproc.errors import ServerError, ServerUnavailable
from streamproc.hub import Hub, Watch
from streamproc.keys import Keys
from streamproc.store import Store
from tests.support.running import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


class Desk:
    """A hub, and what a projector would do to the store behind it, step by step."""

    def __init__(self, client: Redis, keys: Keys, hub: Hub) -> None:
        self.client = client
        self.keys = keys
        self.hub = hub

    async def write(self, position: str, *, final: bool = False, life: str = "aa") -> bytes:
        """Store a snapshot, without a doorbell."""
        finished = b'"2026-11-21T18:33:20.000Z"' if final else b"null"
        snapshot = b'{"job_id":"a","message":"\\"finished_at\\":1","finished_at":%b,"position":"%b"}' % (
            finished,
            position.encode(),
        )
        keys = self.keys.of("a")
        await self.client.hset(keys.group, "incarnation", life)
        await self.client.hset(keys.state("a"), "snapshot", snapshot)
        return snapshot

    async def ring(self, message: bytes) -> int:
        """Ring the doorbell; returns how many heard it."""
        heard: int = await self.client.execute_command("SPUBLISH", self.keys.of("a").live("a"), message)
        return heard

    async def change(self, position: str, *, final: bool = False) -> None:
        await self.ring(await self.write(position, final=final))


@asynccontextmanager
async def at_desk(url: str, namespace: str, store_type: type[Store] = Store) -> AsyncIterator[Desk]:
    keys = Keys(namespace, 4)
    async with connect(url) as client, anyio.create_task_group() as tasks:
        hub = Hub(url, keys, store_type(client, keys))
        await tasks.start(hub.run)
        yield Desk(client, keys, hub)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def desk(server: Server, namespace: str) -> AsyncIterator[Desk]:
    async with at_desk(server.url, namespace) as desk:
        yield desk


async def position(watch: Watch) -> str:
    """Where the job is after its next change."""
    with anyio.fail_after(10):
        await watch.changed()
    live = watch.look()
    assert live is not None
    return live.position


async def test_a_watch_begins_with_what_is_stored(desk: Desk) -> None:
    snapshot = await desk.write("5-1", final=True)
    with await desk.hub.watch("a") as watch:
        live = watch.look()
        assert live is not None
        assert (live.snapshot, str(live.token), live.final) == (snapshot, "aa.5-1", True)


async def test_a_watch_of_an_unknown_job_waits_for_it(desk: Desk) -> None:
    with await desk.hub.watch("a") as watch:
        assert watch.look() is None
        await desk.change("5-1")
        assert await position(watch) == "5-1"
        live = watch.look()
        assert live is not None
        assert not live.final
        assert live.incarnation == "aa"


async def test_watchers_see_the_newest_only(desk: Desk) -> None:
    await desk.write("5-0")
    with await desk.hub.watch("a") as watch, await desk.hub.watch("a") as other:
        watch.look()
        for number in range(1, 50):
            await desk.change(f"5-{number}")

        async def arrived() -> bool:
            live = other.look()
            return live is not None and live.position == "5-49"

        await eventually(arrived)
        assert await position(watch) == "5-49"
        with anyio.move_on_after(0.05) as waiting:
            await watch.changed()
        assert waiting.cancelled_caught, "it has seen the newest"


async def test_old_news_and_noise_change_nothing(desk: Desk) -> None:
    old = await desk.write("5-1")
    new = await desk.write("10-1")
    with await desk.hub.watch("a") as watch:
        life = watch.life
        watch.look()
        for message in (old, new, b"", b"{}", b'"', b'{"position":"x"}', b"\xff" * 20):
            assert await desk.ring(message) == 1
        await desk.change("10-2")
        assert await position(watch) == "10-2"
        assert watch.life == life


async def test_a_lost_doorbell_costs_a_delay_only(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ROUND_SECONDS", 0.05)
    await desk.change("5-1")
    with await desk.hub.watch("a") as watch:
        watch.look()
        await desk.write("5-2")
        assert await position(watch) == "5-2"


async def test_a_lost_connection_is_made_again_and_what_it_missed_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ROUND_SECONDS", 3600.0)
    await desk.change("5-1")
    with await desk.hub.watch("a") as watch:
        for number in (2, 4):
            watch.look()
            assert await desk.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
            await desk.write(f"5-{number}")
            assert await position(watch) == f"5-{number}"

            async def heard() -> bool:
                return await desk.ring(b"") == 1

            await eventually(heard)
            await desk.change(f"5-{number + 1}")
            assert await position(watch) == f"5-{number + 1}"


async def test_a_position_that_went_back_is_another_life(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ROUND_SECONDS", 0.05)
    await desk.change("5-9")
    with await desk.hub.watch("a") as watch:
        watch.look()
        life = watch.life
        await desk.write("5-3")
        assert await position(watch) == "5-3"
        assert watch.life == life + 1
        await desk.write("7-3", life="bb")
        assert await position(watch) == "7-3"
        assert watch.life == life + 2
        await desk.client.delete(desk.keys.of("a").state("a"))
        with anyio.fail_after(10):
            await watch.changed()
        assert watch.look() is None
        assert watch.life == life + 3


class Overtaken(Store):
    """Its reads take their time: what they found is old when they return."""

    release: anyio.Event | None = None
    found: anyio.Event

    async def states(self, jobs: Sequence[str]) -> list[tuple[str, bytes | None] | ServerError]:
        found = await super().states(jobs)
        if self.release is not None:
            self.found.set()
            await self.release.wait()
        return found


async def test_a_read_that_a_doorbell_overtook_is_no_going_back(server: Server, namespace: str) -> None:
    async with at_desk(server.url, namespace, Overtaken) as desk:
        store = desk.hub.store
        assert isinstance(store, Overtaken)
        await desk.change("5-1")
        with await desk.hub.watch("a") as watch:
            watch.look()
            life = watch.life
            store.release, store.found = anyio.Event(), anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.refresh)
                await store.found.wait()
                await desk.change("5-2")
                assert await position(watch) == "5-2"
                store.release.set()
            live = watch.look()
            assert live is not None
            assert live.position == "5-2"
            assert watch.life == life


async def test_who_is_cancelled_while_it_begins_to_watch_leaves_nothing_behind(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ROUND_SECONDS", 0.05)
    async with at_desk(server.url, namespace, Overtaken) as desk:
        store = desk.hub.store
        assert isinstance(store, Overtaken)
        await desk.write("5-1")
        store.release, store.found = anyio.Event(), anyio.Event()
        channel = desk.keys.of("a").live("a")

        async def subscribers() -> int:
            reply: list[int] = await desk.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
            return reply[1]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.hub.watch, "a")

            async def begun() -> bool:
                return await subscribers() == 1

            await eventually(begun)
            tasks.cancel_scope.cancel()
        store.release.set()

        async def let_go() -> bool:
            return await subscribers() == 0

        await eventually(let_go)
        with await desk.hub.watch("a") as watch:
            assert watch.look() is not None


async def test_without_a_server_nothing_can_be_watched(own_server: Server, namespace: str) -> None:
    async with at_desk(own_server.url, namespace) as desk:
        own_server.stop()
        with pytest.raises(ServerUnavailable):
            await desk.hub.watch("a")


async def test_closing_wakes_all_who_watch(desk: Desk) -> None:
    with await desk.hub.watch("a") as watch, anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.changed)
            await anyio.lowlevel.checkpoint()
            desk.hub.close()
        assert watch.closed


async def test_a_horizon_is_where_all_watched_jobs_are_known(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ROUND_SECONDS", 0.05)
    keys = desk.keys.of("a")
    await desk.write("5-1")
    await desk.client.hset(keys.group, "cursor", "6-0")
    with await desk.hub.watch("a"):

        async def known() -> bool:
            return {str(token) for token in desk.hub.horizons.values()} == {"aa.6-0"}

        await eventually(known)
        await desk.client.delete(keys.state("a"))
        await desk.client.set(keys.state("a"), "it can't be read")

        async def unknown() -> bool:
            return not desk.hub.horizons

        await eventually(unknown)


async def test_a_job_that_cannot_be_read_takes_no_other_with_it(desk: Desk) -> None:
    await desk.change("5-1")
    await desk.client.set(desk.keys.of("b").state("b"), "foreign")
    with pytest.raises(ServerError, match="wrong kind of value"):
        await desk.hub.watch_all(["a", "b"], [None, None])
    with await desk.hub.watch("a") as watch:
        assert watch.look() is not None
