"""The log: append to it, read it. One stream a partition, one field `e` an entry."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.errors import ServerError, UnfitServer
from streamproc.keys import Keys, PartitionKeys

__all__ = ["FORMAT", "Entry", "Log", "open_namespace"]

FORMAT = 1
"""The version of the wire format and the keys, stored when a namespace is created."""

Entry = tuple[bytes, list[bytes]]
"""As the server sends it: position, then field and value in turn."""


async def open_namespace(client: Redis, namespace: str, partitions: int) -> Keys:
    """The keys of a namespace, created with this many partitions unless it exists with its own number.

    Raises:
        UnfitServer: it was created in a format that this version does not speak.
    """
    meta = f"{namespace}:meta"
    stored = await call(client, "HMGET", meta, "format", "partitions")
    if None in stored:
        with server_errors():
            async with client.pipeline(transaction=True) as pipe:
                pipe.hsetnx(meta, "format", str(FORMAT))
                pipe.hsetnx(meta, "partitions", str(partitions))
                pipe.hmget(meta, "format", "partitions")
                stored = (await pipe.execute())[2]
    if stored[0] != str(FORMAT).encode() or not stored[1].isdigit():
        raise UnfitServer(f"{meta} says format {stored[0]!r} with {stored[1]!r} partitions; this version speaks 1")
    return Keys(namespace, int(stored[1]))


class Slice(Struct, gc=False):
    """What a read got of one partition."""

    partition: int
    entries: list[Entry]


class Log:
    """The log of a namespace.

    Args:
        client: its connections are used for appends and ranges.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._partition_of = {keys.log.encode(): keys.partition for keys in keys.partitions}

    async def append(self, payloads: Iterable[tuple[str, bytes]]) -> list[str]:
        """Append checked payloads, each with its job id, in their order. Returns their positions.

        Raises:
            ServerError: nobody knows then how many were appended; with `src` and `seq` sending again is harmless.
        """
        with server_errors():
            # In one transaction: were an event refused (out of memory) and a later one of its source not,
            # the refused one would count as a duplicate when it is sent again.
            async with self._client.pipeline(transaction=True) as pipe:
                for job, payload in payloads:
                    pipe.execute_command("XADD", self._keys.of(job).log, "*", "e", payload)
                replies = await pipe.execute(raise_on_error=True)
        return [reply.decode() for reply in replies]

    async def read(self, after: dict[int, str], count: int, block_ms: int) -> list[Slice]:
        """Up to `count` entries of each partition after a position, waiting up to `block_ms` for the first."""
        keys = self._keys.partitions
        names = [keys[partition].log for partition in after]
        reply: list[tuple[bytes, list[Entry]]] | None = await call(
            self._client, "XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *names, *after.values()
        )
        return [Slice(self._partition_of[name], entries) for name, entries in reply or ()]

    async def range(self, partition: int, after: str, count: int) -> Sequence[Entry]:
        """Up to `count` entries of a partition after a position."""
        return await stream_range(self._client, self._keys.partitions[partition].log, after, count)

    async def last(self, partition: int) -> str:
        """The position of a partition's newest entry; ``0-0`` where there was none."""
        return await last_position(self._client, self._keys.partitions[partition])


async def stream_range(client: Redis, key: str, after: str, count: int) -> Sequence[Entry]:
    """Up to `count` entries of a stream after a position."""
    reply: list[Entry] = await call(client, "XRANGE", key, f"({after}", "+", "COUNT", count)
    return reply


async def last_position(client: Redis, keys: PartitionKeys) -> str:
    """The position of a partition's newest entry, trimmed or not; ``0-0`` where there was none."""
    with server_errors():
        if not await client.exists(keys.log):
            return "0-0"
        info = await client.xinfo_stream(keys.log)
    last = info.get("last-generated-id")
    if not isinstance(last, bytes):
        raise ServerError(f"XINFO STREAM {keys.log} says nothing of the last id")
    return last.decode()
