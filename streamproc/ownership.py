"""Who may commit a partition: leases that expire, with a number that rises with every change of owner."""

import secrets

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.keys import Keys, PartitionKeys

__all__ = ["Lease", "Ownership"]


class Lease(Struct):
    """A partition that is ours until the lease expires.

    Args:
        keys: of the partition.
        holder: ``epoch:token``, what a commit must show.
        cursor: where the group is.
        read: how many events it has folded.
        incarnation: the life that the partition is in.
    """

    keys: PartitionKeys
    holder: str
    cursor: str
    read: int
    incarnation: str


class Ownership:
    """One member of the group of projectors.

    Args:
        client: its connections are used.
        keys: the namespace.
        lease_seconds: how long the member may be silent.
        member: its name, unlike any other's.
    """

    def __init__(self, client: Redis, keys: Keys, lease_seconds: float, member: str) -> None:
        self._client = client
        self._keys = keys
        self._lease_ms = int(lease_seconds * 1000)
        self.member = member

    async def announce(self) -> int:
        """Say that this member is alive. Returns how many partitions are its share."""
        members = await self._announce(self._lease_ms)
        place = members.index(self.member.encode())
        whole, rest = divmod(len(self._keys.partitions), len(members))
        return whole + (place < rest)

    async def leave(self) -> None:
        """Say that this member is gone, so that the others take its share."""
        await self._announce(0)

    async def _announce(self, ttl_ms: int) -> list[bytes]:
        members: list[bytes] = await call(
            self._client, "FCALL", "sp_announce", 1, self._keys.members, self.member, ttl_ms
        )
        return members

    async def acquire(self, partition: int) -> Lease | None:
        """Take a partition that nobody holds, or go on with one that this member holds; else None."""
        keys = self._keys.partitions[partition]
        reply = await call(
            self._client,
            "FCALL", "sp_acquire", 3, keys.owner, keys.group, keys.log,
            self.member, self._lease_ms, Keys.GROUP, secrets.token_hex(4),
        )  # fmt: skip
        if reply is None:
            return None
        holder, cursor, read, incarnation = (part.decode() for part in reply)
        return Lease(keys, holder, cursor, int(read), incarnation)

    async def renew(self, leases: list[Lease]) -> list[bool]:
        """Hold leases for longer; False for those that are lost. One round trip: a busy process has few to spare."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for lease in leases:
                    pipe.fcall("sp_renew", 1, lease.keys.owner, lease.holder, str(self._lease_ms))
                return [renewed == 1 for renewed in await pipe.execute()]

    async def release(self, lease: Lease) -> None:
        """Give a partition back."""
        await call(self._client, "FCALL", "sp_release", 1, lease.keys.owner, lease.holder)
