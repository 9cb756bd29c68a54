"""The releaser: takes jobs from workers of which nothing is heard any more, and puts them back into the queue.

The owner of a partition does it, as it sweeps: it looks for claims whose lease has ended by what is folded, reads those
jobs, and appends what is to become of them as the owner, so that a stale owner takes nothing from anybody. Once it has
appended something it waits until that is folded; so each decision shows before the next is made. Should the worker
have said something meanwhile, the fold sees that its lease hadn't ended at that place in the log.

Nor is it the workers' silence that the server was down: each has a whole lease anew when it is up again.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from streamproc.events import Event
from streamproc.owned import Partition
from streamproc.projection import Stalls
from streamproc.rounds import Rounds
from streamproc.store import Store
from streamproc.sweeps import Horizon, Sweeps
from streamproc.wire import encode

__all__ = ["Releaser"]

_logger = logging.getLogger("streamproc.projector")

_ROUND_SECONDS: Final = 0.5
_PAGE: Final = 1000
_AT_ONCE: Final = 100
_READ_PER_SECOND: Final = 5000
"""It takes its time, so that folding doesn't wait for it."""


class _Seen:
    """What is kept of a partition: up to when it is known, and which leases end after all later."""

    __slots__ = ("horizon", "later")

    def __init__(self) -> None:
        self.horizon = Horizon()
        self.later: dict[bytes, int] = {}


class Releaser:
    """Ends the claims of silent workers in partitions that are ours.

    Args:
        sweeps: over a client of which no connection blocks.
        store: likewise.
        stalls: what becomes of such a job.
    """

    def __init__(self, sweeps: Sweeps, store: Store, stalls: Stalls) -> None:
        self._sweeps = sweeps
        self._store = store
        self._stalls = stalls
        self._rounds = Rounds(_Seen, "has claims that cannot be looked after")
        self._up_since: int | None = None

    async def run(self, partitions: Mapping[int, Partition]) -> None:
        """Look after the partitions that are there each time, until cancelled. Raises `ServerUnavailable`."""
        while True:
            await anyio.sleep(_ROUND_SECONDS)
            owned = list(partitions.values())
            ended = await self._sweeps.with_ended_leases([partition.lease.keys for partition in owned])
            for partition in owned:
                if partition.number in ended:
                    await self._rounds.attempt(partition, self.release)
            self._rounds.forget_all_but(partitions)

    async def release(self, partition: Partition) -> None:
        """Look once at all claims of a partition that may have ended. Raises `Fenced` where it isn't ours any more."""
        seen = self._rounds.of(partition)
        keys = partition.lease.keys
        now = seen.horizon.now(await self._sweeps.folded(keys))
        if now is None:
            return
        later: dict[bytes, int] = {}
        released = at = 0
        while jobs := await self._sweeps.ended_leases(keys, now, at, _PAGE):
            at += len(jobs)
            later.update((job, seen.later[job]) for job in jobs if seen.later.get(job, 0) > now)
            wanted = [job for job in jobs if job not in later]
            for first in range(0, len(wanted), _AT_ONCE):
                part = wanted[first : first + _AT_ONCE]
                released += await self._look(partition, part, now, later)
                await anyio.sleep(len(part) / _READ_PER_SECOND)
        seen.later = later
        if released:
            _logger.info("partition %d: jobs whose workers fell silent: %d", partition.number, released)

    async def _look(self, partition: Partition, jobs: Sequence[bytes], now: int, later: dict[bytes, int]) -> int:
        """Append what becomes of jobs. Returns of how many."""
        if self._up_since is None:
            self._up_since = await self._sweeps.up_since()
        lease, fields = partition.lease, list(self._stalls.claim_fields)
        found = await self._store.load([(lease.keys.state(job.decode()), fields) for job in jobs])
        payloads = []
        for job, values in zip(jobs, found, strict=True):
            told = self._stalls.lapse(values, now, self._up_since)
            if isinstance(told, Event):
                payloads.append(encode(told))
            elif told is not None:
                later[job] = told
        if payloads:
            self._rounds.of(partition).horizon.wait_for = await self._sweeps.append(lease, payloads)
        return len(payloads)
