"""The sweeper: finds jobs that have been silent for too long, and says so in the log, once for each silence.

The owner of a partition sweeps it: it walks the lists of the jobs that can stall, reads the snapshots of those that
may have by now, and appends its decisions as the owner. Where the lease is lost nothing is appended. Which silence is
too long, `streamproc.projection.Stalls` knows.

Time is the server's, but no later than what is folded: while folding lags behind, the silence isn't the jobs'. And a
partition that was just taken, or to which something was appended, is swept again once all that its log held then is
folded. So each decision, one of an earlier owner too, shows in the snapshots before the next is made. Should a job
go on while it is found to be silent, the fold sees that the decision isn't true at its place in the log. Nor is it the
jobs' silence that the server was down: each gets the whole time anew when it is up again.

Of kinds too it forgets the runs, and that they were there, when there are very many and others were used since.
Claims whose workers fell silent are the releaser's, which runs beside it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import anyio
import msgspec

from streamproc.kinds import Kinds
from streamproc.owned import Partition
from streamproc.projection import Silence, Stalls
from streamproc.releaser import Releaser
from streamproc.rounds import Rounds
from streamproc.store import Store
from streamproc.sweeps import Horizon, Sweeps
from streamproc.wire import encode

__all__ = ["MOST_KINDS", "Sweeper"]

_logger = logging.getLogger("streamproc.projector")

MOST_KINDS: Final = 1000
"""So many kinds are remembered in a partition."""
_MOST_SECONDS: Final = 5.0
_FRESH_SECONDS: Final = 60.0
_PAGE: Final = 1000
_AT_ONCE: Final = 100
_LISTED_PER_SECOND: Final = 100_000
_READ_PER_SECOND: Final = 5000
"""A sweep takes its time, so that folding doesn't wait for it."""
_MOST_DUE: Final = 200_000
"""For so many jobs it is kept when they are due; more of them are read in each sweep."""


class _Swept:
    """What is kept of a partition from sweep to sweep: when jobs are due, and up to when it is known."""

    __slots__ = ("due", "horizon")

    def __init__(self) -> None:
        self.due: dict[bytes, int] = {}
        self.horizon = Horizon()


class Sweeper:
    """Sweeps partitions that are ours.

    Args:
        sweeps: over a client of which no connection blocks.
        store: likewise.
        stalls: which silence is too long.
        limits: instead, for some kinds, in seconds; ``*`` is for all others.
    """

    def __init__(self, sweeps: Sweeps, store: Store, stalls: Stalls, limits: Mapping[str, float]) -> None:
        self._sweeps = sweeps
        self._store = store
        self._stalls = stalls
        self._limits: dict[str | None, int] = {kind: round(1000 * seconds) for kind, seconds in limits.items()}
        self._least = min([stalls.least, *self._limits.values()])
        self._kinds = Kinds(store, stalls.learn, _FRESH_SECONDS)
        self._rounds = Rounds(_Swept, "cannot be swept")
        self._up_since: int | None = None

    async def run(self, partitions: Mapping[int, Partition]) -> None:
        """Sweep the partitions that are there each time, until cancelled. Raises `ServerUnavailable`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Releaser(self._sweeps, self._store, self._stalls).run, partitions)
            await self._run(partitions)

    async def _run(self, partitions: Mapping[int, Partition]) -> None:
        pause = min(_MOST_SECONDS, self._least / 6000)
        while True:
            await anyio.sleep(pause)
            for partition in list(partitions.values()):
                await self._rounds.attempt(partition, self._once)
            self._rounds.forget_all_but(partitions)

    async def _once(self, partition: Partition) -> None:
        await self.sweep(partition)
        await self.forget_kinds(partition)

    async def sweep(self, partition: Partition) -> None:
        """Look once at all jobs of a partition that are due. Raises `Fenced` where it isn't ours any more."""
        swept = self._rounds.of(partition)
        keys = partition.lease.keys
        now = swept.horizon.now(await self._sweeps.folded(keys))
        if now is None:
            return
        due: dict[bytes, int] = {}
        stalled = 0
        room = _MOST_DUE // len(self._rounds)
        for index in self._stalls.indexes:
            listed = await self._sweeps.count(keys, index, now - self._least)
            for at in range(0, listed, _PAGE):
                jobs = await self._sweeps.listed(keys, index, at, min(_PAGE, listed - at))
                before = [(job, swept.due.get(job, 0)) for job in jobs]
                due.update(item for item in before if item[1] > now)
                wanted = [job for job, when in before if when <= now]
                for first in range(0, len(wanted), _AT_ONCE):
                    found, told = await self._look(partition, wanted[first : first + _AT_ONCE], now)
                    stalled += told
                    if len(due) < room:
                        due.update(found)
                await anyio.sleep(len(jobs) / _LISTED_PER_SECOND)
        swept.due = due
        if stalled:
            _logger.info("partition %d: jobs that have stalled: %d", partition.number, stalled)

    async def forget_kinds(self, partition: Partition) -> None:
        """Keep the kinds of a partition that were used last: names may be anything, and so there may be any number.

        Raises `Fenced` where the partition isn't ours any more.
        """
        while stale := await self._sweeps.stale_kinds(partition.lease.keys, MOST_KINDS, _AT_ONCE):
            if not await self._sweeps.forget_kinds(partition.lease, stale):
                return  # all of them are in use again

    async def _look(self, partition: Partition, jobs: Sequence[bytes], now: int) -> tuple[dict[bytes, int], int]:
        """Append what is to be said of jobs. Returns when to look at each of them again, and how many have stalled."""
        lease = partition.lease
        if self._up_since is None:
            self._up_since = await self._sweeps.up_since()
        up_since = self._up_since
        found = await self._store.load([(lease.keys.state(job.decode()), ["snapshot"]) for job in jobs])
        due = dict.fromkeys(jobs, now + self._least)
        payloads = []
        for job, (snapshot,) in zip(jobs, found, strict=True):
            silence = None if snapshot is None else self._stalls.silence(snapshot)
            if silence is None:
                continue
            if silence.since < up_since:
                silence = msgspec.structs.replace(silence, since=up_since)
            end = silence.since + await self._patience(silence)
            if end <= now:
                payloads.append(encode(self._stalls.event(silence, now)))
            else:
                due[job] = end
        if payloads:
            self._rounds.of(partition).horizon.wait_for = await self._sweeps.append(lease, payloads)
        await anyio.sleep(len(jobs) / _READ_PER_SECOND)
        return due, len(payloads)

    async def _patience(self, silence: Silence) -> int:
        """How long this silence may last, in ms."""
        limit = self._limits.get(silence.kind, self._limits.get("*"))
        if limit is not None:
            return limit
        learned = None if silence.kind is None else await self._kinds.learned(silence.kind)
        return self._stalls.patience(silence, learned)
