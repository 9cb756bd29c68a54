"""The partitions that this process owns: it takes its share, keeps the leases, and gives back what is too much."""

import logging
from collections.abc import Callable

import anyio

from streamproc.errors import ServerError, ServerUnavailable
from streamproc.ownership import Lease, Ownership

__all__ = ["Owned", "Partition"]

_MOST_SECONDS = 1.0
"""A partition whose owner died is looked for so often: takeover takes the lease and this."""
_logger = logging.getLogger("streamproc.projector")


class Partition:
    """A partition that is ours: its lease, how far it was read and folded, and how many commits are on their way."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.number = lease.keys.partition
        self.read_to = lease.cursor
        self.folded_to = lease.cursor
        self.folded = lease.read
        self.on_their_way = 0
        self._ended = anyio.Event()

    async def settled(self, most: int = 0) -> None:
        """Wait until at most so many commits are on their way."""
        while self.on_their_way > most:
            await self._ended.wait()

    def commit_ended(self) -> None:
        self.on_their_way -= 1
        self._ended.set()
        self._ended = anyio.Event()


class Owned:
    """What this process owns now, by the number of the partition.

    Args:
        ownership: this process as a member of the group.
        count: how many partitions there are.
        lease_seconds: how long a lease lasts.
        left: is called with the number of each partition that isn't ours any more.
    """

    def __init__(self, ownership: Ownership, count: int, lease_seconds: float, left: Callable[[int], None]) -> None:
        self.partitions: dict[int, Partition] = {}
        self._ownership = ownership
        self._count = count
        self._pause = min(_MOST_SECONDS, lease_seconds / 3)
        self._left = left
        self._leaving = False

    def has(self, partition: Partition) -> bool:
        """Whether this very holding of a partition goes on; one that was lost and taken again is another."""
        return self.partitions.get(partition.number) is partition

    async def keep(self) -> None:
        """Renew the leases, and see to the share, until cancelled. Raises `ServerUnavailable`."""
        while True:
            await anyio.sleep(self._pause)
            held = list(self.partitions.values())
            renewed = await self._ownership.renew([partition.lease for partition in held])
            for partition, ours in zip(held, renewed, strict=True):
                if not ours:
                    self.drop(partition, "the lease was lost")
            await self.balance()

    async def balance(self) -> None:
        """Give back what is more than this member's share, or take what nobody holds until the share is full."""
        share = await self._ownership.announce()
        for partition in list(self.partitions.values())[share:]:
            await self._give_back(partition)
        for number in range(self._count):
            if len(self.partitions) >= share or self._leaving:
                return
            if number not in self.partitions:
                await self._take(number)

    async def leave(self) -> None:
        """Give everything back, once its commits are done, and tell the others."""
        self._leaving = True
        for partition in list(self.partitions.values()):
            await self._give_back(partition)
        await self._ownership.leave()

    def drop(self, partition: Partition, why: object) -> None:
        """Forget a partition, of which memory isn't to be trusted any more."""
        if self.has(partition):
            _logger.warning("partition %d dropped at %s: %s", partition.number, partition.folded_to, why)
            del self.partitions[partition.number]
            self._left(partition.number)

    async def _take(self, number: int) -> None:
        try:
            lease = await self._ownership.acquire(number)
        except ServerUnavailable:
            raise
        except ServerError as error:
            _logger.error("partition %d cannot be taken: %s", number, error)
            return
        if lease is not None:
            self.partitions[number] = Partition(lease)

    async def _give_back(self, partition: Partition) -> None:
        """Stop reading a partition, let its commits finish, and release it."""
        if self.partitions.pop(partition.number, None) is None:
            return
        await partition.settled()
        self._left(partition.number)
        await self._ownership.release(partition.lease)
