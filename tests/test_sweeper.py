"""The sweeper on a real server: which silences it finds, and that it tells of each once, and only as the owner."""

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from projections import STALLS
from projections.paths import Run
from streamproc import sweeper as sweeper_module
from streamproc.config import Config
from streamproc.connection import call, connect, ensure_functions
from streamproc.errors import Fenced, WrongKey
from streamproc.keys import Keys
from streamproc.log import open_namespace
from streamproc.ownership import Lease, Ownership
from streamproc.store import Store
from streamproc.sweeper import Sweeper
from streamproc.sweeps import Sweeps
from tests.support.fields import MINUTE, Field, OldServer
from tests.support.folding import refolded, stored
from tests.support.running import eventually, projecting
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


class Silences(Field):
    def sweeper(self, **limits: float) -> Sweeper:
        return Sweeper(OldServer(self.client), Store(self.client, self.keys), STALLS, limits)

    async def sweep(self, **limits: float) -> list[dict[str, Any]]:
        """What one sweep by an owner that has never swept before appends."""
        before = await self.client.xlen(self.partition.log)
        held = await self.held()
        await self.sweeper(**limits).sweep(held)
        await self.ownership.release(held.lease)
        return await self.stalls(before)

    async def stalls(self, after: int = 0) -> list[dict[str, Any]]:
        """The decisions in the log, after so many entries."""
        return [event for event in await self.decisions(after) if event["type"] == "job.stalled"]

    async def remember(self, kind: str, gaps: list[float], outcome: str = "finished") -> None:
        """Runs of a kind, each with its longest silence in seconds."""
        for gap in gaps:
            run = Run(outcome, 3_600_000, 0, int(1000 * gap), [])
            await call(self.client, "XADD", self.partition.runs(kind), "*", "r", json.dumps(_as_array(run)))


def _as_array(run: Run) -> list[Any]:
    return [getattr(run, name) for name in run.__struct_fields__]


@pytest.fixture
async def field(server: Server, namespace: str) -> AsyncIterator[Silences]:
    async with Silences.opened(server.url, namespace) as field:
        yield field


# Which silences ----------------------------------------------------------------------------------------------------


async def test_a_job_that_has_been_silent_for_too_long_is_stalled_and_one_that_has_not_is_not(field: Silences) -> None:
    await field.past(10 * MINUTE, "started", "job.started")
    await field.past(8 * MINUTE, "silent", "job.progressed", percent=5)
    await field.past(4 * MINUTE, "quiet", "job.progressed", percent=5)
    await field.fold()
    found = await field.sweep()
    assert sorted(event["job"] for event in found) == ["silent", "started"]
    await field.fold()
    assert [(await field.snapshot(job))["stalled"] for job in ("started", "silent", "quiet")] == [True, True, False]
    assert await stored(field.client, field.keys) == await refolded(field.client, field.keys)


async def test_a_decision_says_how_long_it_was_silent_and_of_which_attempt(field: Silences) -> None:
    await field.past(8 * MINUTE, "a", "job.started", attempt=3)
    await field.fold()
    [event] = await field.sweep()
    assert (event["attempt"], event["silent_seconds"]) == (3, pytest.approx(8 * MINUTE, abs=30))


async def test_a_worker_that_is_gone_is_told_from_one_that_is_stuck(field: Silences) -> None:
    for job in ("gone", "stuck", "fell silent"):
        job = job.replace(" ", "-")
        await field.past(8 * MINUTE, job, "job.progressed", percent=5)
    await field.past(7 * MINUTE, "fell-silent", "job.heartbeat")
    await field.past(6 * MINUTE, "gone", "job.cancel_requested")
    await field.past(1, "stuck", "job.heartbeat")
    await field.fold()
    reasons = {event["job"]: event["reason"] for event in await field.sweep()}
    assert reasons["stuck"].startswith("alive, but no progress for 8 min")
    assert reasons["gone"].startswith("no sign of life for 8 min")
    assert reasons["fell-silent"].startswith("no sign of life for 7 min")


@pytest.mark.parametrize(
    "last", ["job.queued", "job.released", "job.paused", "job.finished", "job.failed", "job.canceled"]
)
async def test_a_job_that_waits_or_has_ended_is_left_alone(field: Silences, last: str) -> None:
    if last != "job.queued":
        await field.past(2 * 60 * MINUTE, "a", "job.progressed")
    await field.past(60 * MINUTE, "a", last)
    await field.fold()
    assert await field.sweep() == []


@pytest.mark.parametrize("last", ["job.resumed", "job.claimed", "job.started"])
async def test_who_takes_a_job_up_again_gets_the_whole_time(field: Silences, last: str) -> None:
    await field.past(60 * MINUTE, "a", "job.progressed")
    await field.past(59 * MINUTE, "a", "job.released" if last == "job.claimed" else "job.paused")
    await field.past(4 * MINUTE, "a", "job.resumed" if last == "job.started" else last, worker="w")
    await field.fold()
    assert await field.sweep() == []


async def test_the_runs_of_its_kind_tell_how_long_a_job_may_be_silent(field: Silences) -> None:
    await field.remember("quick", [1.0] * 20)
    await field.remember("slow", [5 * MINUTE] * 20)
    await field.remember("odd", [*[1.0] * 19, 60 * MINUTE])
    await field.remember("new", [1.0] * 4)
    await field.remember("hung", [1.0] * 20)
    await field.remember("hung", [60 * MINUTE] * 20, "failed")
    for kind in ("quick", "slow", "odd", "new", "hung"):
        await field.past(10 * MINUTE, f"ten-{kind}", "job.started", kind=kind)
    for kind in ("quick", "slow", "odd", "new", "hung"):
        await field.past(1 * MINUTE, f"one-{kind}", "job.started", kind=kind)
    await field.past(20, "short-quick", "job.started", kind="quick")
    await field.fold()
    found = {event["job"] for event in await field.sweep()}
    assert found == {"ten-quick", "ten-odd", "ten-new", "ten-hung", "one-quick", "one-odd", "one-hung"}


async def test_a_setting_is_stronger_than_what_was_learned(field: Silences) -> None:
    await field.remember("slow", [60 * MINUTE] * 20)
    for kind in ("slow", "other"):
        await field.past(90, kind, "job.started", kind=kind)
    await field.past(90, "none", "job.started")
    await field.fold()
    assert await field.sweep() == []
    assert {event["job"] for event in await field.sweep(slow=6000, **{"*": 60})} == {"other", "none"}
    await field.fold()
    assert [event["job"] for event in await field.sweep(slow=60)] == ["slow"]


@pytest.mark.parametrize("ahead", [-86_400, 86_400], ids=["behind", "ahead"])
async def test_time_is_the_servers(field: Silences, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    await field.past(10 * MINUTE, "silent", "job.started")
    await field.past(MINUTE, "quiet", "job.started")
    await field.fold()
    local, local_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: local() + ahead)
    monkeypatch.setattr(time, "time_ns", lambda: local_ns() + ahead * 10**9)
    assert [event["job"] for event in await field.sweep()] == ["silent"]


async def test_the_time_that_the_server_was_down_is_no_silence(
    own_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers were cut off too, and have not had the time to say so."""
    async with Silences.opened(own_server.url, namespace) as field:
        await field.past(10 * MINUTE, "a", "job.started")
        await field.fold()
        held = await field.held()
        for seconds, found in ((5 * MINUTE - 30, []), (5 * MINUTE + 30, ["a"])):
            sweeps = Sweeps(field.client)
            folded = sweeps.folded

            async def later(keys: Any, folded: Any = folded, seconds: float = seconds) -> Any:
                now = await folded(keys)
                return msgspec.structs.replace(now, now=now.now + int(1000 * seconds))

            monkeypatch.setattr(sweeps, "folded", later)
            await Sweeper(sweeps, Store(field.client, field.keys), STALLS, {}).sweep(held)
            assert [event["job"] for event in await field.stalls()] == found


# Once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most_due", [0, 200_000])
async def test_one_silence_is_told_of_once_by_however_many_sweeps_and_owners(
    field: Silences, most_due: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_MOST_DUE", most_due)
    await field.past(10 * MINUTE, "a", "job.started")
    await field.past(MINUTE, "b", "job.started")
    await field.fold()
    sweeper, held = field.sweeper(), await field.held()
    for _ in range(3):
        await sweeper.sweep(held)  # what was appended isn't folded yet
    await field.ownership.release(held.lease)
    assert await field.sweep() == []  # nor is it when the next owner comes
    await field.fold()
    assert await field.sweep() == []
    held = await field.held()
    await sweeper.sweep(held)  # the first owner again, by another lease
    await field.ownership.release(held.lease)
    assert len(await field.stalls()) == 1


async def test_an_owner_that_has_a_partition_again_sweeps_it_by_its_new_lease(field: Silences) -> None:
    sweeper = field.sweeper()
    first = await field.held()
    await sweeper.sweep(first)
    await field.ownership.release(first.lease)
    await field.past(10 * MINUTE, "a", "job.started")
    await field.fold()
    await sweeper.sweep(await field.held())
    assert [event["job"] for event in await field.stalls()] == ["a"]


async def test_a_job_that_went_on_may_stall_again(field: Silences) -> None:
    await field.past(20 * MINUTE, "a", "job.started")
    await field.past(10 * MINUTE, "a", "job.stalled", silent_seconds=10 * MINUTE)
    await field.past(2 * MINUTE, "a", "job.progressed", percent=5)
    await field.fold()
    assert (await field.snapshot("a"))["stalled"] is False
    assert await field.sweep() == []
    assert len(await field.sweep(**{"*": 60})) == 1


async def test_what_is_not_folded_yet_is_no_silence(field: Silences) -> None:
    held, sweeper = await field.held(), field.sweeper()
    await sweeper.sweep(held)

    async def sweep_again() -> list[dict[str, Any]]:
        held.lease = (await field.held()).lease
        await sweeper.sweep(held)
        await field.ownership.release(held.lease)
        return await field.stalls()

    await field.ownership.release(held.lease)
    await field.past(60 * MINUTE, "a", "job.started")
    await field.fold()
    await field.past(0, "b", "job.started")
    assert await sweep_again() == []
    await field.fold()
    assert [event["job"] for event in await sweep_again()] == ["a"]


async def test_a_decision_that_was_overtaken_by_progress_has_no_effect(field: Silences) -> None:
    await field.past(10 * MINUTE, "a", "job.progressed", percent=5)
    await field.fold()
    held = await field.held()

    class Late(OldServer):
        """Just before the decision is appended, the job goes on."""

        async def append(self, lease: Lease, payloads: Any) -> str:
            await field.past(0, "a", "job.progressed", percent=6)
            return await super().append(lease, payloads)

    await Sweeper(Late(field.client), Store(field.client, field.keys), STALLS, {}).sweep(held)
    await field.ownership.release(held.lease)
    assert len(await field.stalls()) == 1
    await field.fold()
    snapshot = await field.snapshot("a")
    assert (snapshot["stalled"], snapshot["percent"]) == (False, 6.0)
    *_, (_, (_, _, _, mark)) = await field.client.xrange(field.partition.events("a"))
    assert mark == b"late"


# Owners ------------------------------------------------------------------------------------------------------------


async def test_a_stale_owner_appends_nothing(field: Silences) -> None:
    await field.past(10 * MINUTE, "a", "job.started")
    await field.fold()
    stale = await field.held()
    await field.ownership.release(stale.lease)
    with pytest.raises(Fenced):
        await field.sweeper().sweep(stale)
    other = Ownership(field.client, field.keys, 60.0, "another")
    assert await other.acquire(0) is not None
    with pytest.raises(Fenced):
        await field.sweeper().sweep(stale)
    assert await field.stalls() == []


async def test_the_step_that_appends_is_fenced_and_whole_on_every_server(any_server: Server, namespace: str) -> None:
    async with connect(any_server.url) as client:
        await ensure_functions(client)
        keys = await open_namespace(client, namespace, 1)
        ownership, log, sweeps = Ownership(client, keys, 60.0, "me"), keys.partitions[0].log, Sweeps(client)
        lease = await ownership.acquire(0)
        assert lease is not None
        assert 0 < await sweeps.up_since() <= (await sweeps.folded(keys.partitions[0])).now
        position = await sweeps.append(lease, [b"one", b"two"])
        entries = await call(client, "XRANGE", log, "-", "+")
        assert [fields for _, fields in entries] == [[b"e", b"one"], [b"e", b"two"]]
        assert entries[-1][0].decode() == position
        await client.rename(log, f"{log}:away")
        await client.set(log, "somebody's")
        with pytest.raises(WrongKey, match="should hold a stream and holds a string"):
            await sweeps.append(lease, [b"three"])
        await client.rename(f"{log}:away", log)
        await client.delete(keys.partitions[0].owner)
        with pytest.raises(Fenced):
            await sweeps.append(lease, [b"four"])
        assert await client.xlen(log) == 2


# On and on ---------------------------------------------------------------------------------------------------------


async def test_a_job_is_not_read_again_before_it_can_have_stalled(field: Silences) -> None:
    await field.past(4 * MINUTE, "quiet", "job.started")
    await field.past(3 * MINUTE, "stalled", "job.started")
    await field.past(2 * MINUTE, "stalled", "job.stalled")
    await field.past(1, "new", "job.started")
    await field.fold()
    read: list[str] = []

    class Reading(Store):
        async def load(self, wanted: list[tuple[str, list[str]]]) -> list[list[bytes | None]]:
            read.extend(key for key, _ in wanted)
            return await super().load(wanted)

    sweeper = Sweeper(OldServer(field.client), Reading(field.client, field.keys), STALLS, {})
    held = await field.held()
    for _ in range(3):
        await sweeper.sweep(held)
    assert sorted(read) == sorted(field.partition.state(job) for job in ("quiet", "stalled"))


@pytest.mark.parametrize("most_due", [0, 200_000])
async def test_all_of_many_jobs_are_looked_at(field: Silences, most_due: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_PAGE", 3), ("_AT_ONCE", 2), ("_MOST_DUE", most_due)):
        monkeypatch.setattr(sweeper_module, name, value)
    for number in range(7):
        await field.past(10 * MINUTE, f"started-{number}", "job.started")
        await field.past(10 * MINUTE, f"running-{number}", "job.progressed")
    for number in range(7):
        await field.past(MINUTE, f"quiet-{number}", "job.started")
    await field.fold()
    found = sorted(event["job"] for event in await field.sweep())
    assert found == [f"{status}-{number}" for status in ("running", "started") for number in range(7)]


async def test_what_can_not_be_read_or_swept_keeps_nothing_else_from_it(
    server: Server, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(redis=server.url, namespace=namespace, partitions=2, stall_seconds={"*": 1})
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 2)
        job = next(job for job in "abcdefgh" if keys.of(job).partition == 1)
        await client.set(keys.partitions[0].index("status:started"), "somebody's")
        async with projecting(config):
            await say(client, keys, job, "job.started")
            await eventually(lambda: stalled(client, keys, job))
    assert caplog.text.count("partition 0 cannot be swept: ") == 1


async def say(client: Redis, keys: Keys, job: str, event: str) -> None:
    await call(client, "XADD", keys.of(job).log, "*", "e", json.dumps({"job": job, "type": event}))


async def stalled(client: Redis, keys: Keys, job: str) -> bool:
    snapshot = await client.hget(keys.of(job).state(job), "snapshot")
    return snapshot is not None and json.loads(snapshot)["stalled"]


async def test_projectors_that_come_and_go_tell_of_each_silence_once(server: Server, namespace: str) -> None:
    config = Config(redis=server.url, namespace=namespace, partitions=2, stall_seconds={"*": 1})
    async with connect(config.redis) as client:
        keys = await open_namespace(client, namespace, 2)

        async def sweeps_go_on() -> None:
            """Wait until a job that is new in each partition has stalled."""
            names = [f"new-{secrets.token_hex(4)}" for _ in range(20)]
            new = {keys.of(name).partition: name for name in names}
            for name in new.values():
                await say(client, keys, name, "job.started")
            for name in new.values():
                await eventually(lambda name=name: stalled(client, keys, name))

        async with projecting(config):
            async with projecting(config):
                for job in "abcd":
                    await say(client, keys, job, "job.started")
                for job in "abcd":
                    await eventually(lambda job=job: stalled(client, keys, job))
                await say(client, keys, "a", "job.progressed")
                await eventually(lambda: stalled(client, keys, "a"))
            await sweeps_go_on()
        async with projecting(config):
            await sweeps_go_on()
        told = [
            json.loads(payload)["job"]
            for partition in keys.partitions
            for _, (_, payload) in await call(client, "XRANGE", partition.log, "-", "+")
            if json.loads(payload)["type"] == "job.stalled"
        ]
        assert sorted(job for job in told if len(job) == 1) == ["a", "a", "b", "c", "d"]
        assert await stored(client, keys) == await refolded(client, keys)
