"""One partition whose log tells of the past: who looks after it needn't wait for silences or leases to end."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from redis.asyncio import Redis

from streamproc.config import Config
from streamproc.connection import call, connect, ensure_functions
from streamproc.keys import Keys
from streamproc.log import open_namespace
from streamproc.owned import Partition
from streamproc.ownership import Ownership
from streamproc.sweeps import Sweeps
from tests.support.running import caught_up, projecting

__all__ = ["MINUTE", "Field", "OldServer"]

MINUTE = 60.0


class OldServer(Sweeps):
    """As if the server had been up for long."""

    async def up_since(self) -> int:
        return 0


class Field:
    """A namespace of one partition, and this process as a member of its group."""

    def __init__(self, client: Redis, keys: Keys, config: Config) -> None:
        self.client = client
        self.keys = keys
        self.config = config
        self.partition = keys.partitions[0]
        self.ownership = Ownership(client, keys, 60.0, "me")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: str, namespace: str) -> AsyncIterator[Self]:
        config = Config(redis=redis, namespace=namespace, partitions=1)
        async with connect(config.redis) as client:
            await ensure_functions(client)
            yield cls(client, await open_namespace(client, namespace, 1), config)

    async def now(self) -> float:
        """The server's time, in seconds since 1970."""
        seconds, micros = await self.client.time()
        return float(seconds + micros / 1e6)

    async def past(self, ago: float, job: str, event: str, **fields: Any) -> None:
        """Append an event as if it had been so many seconds ago. The next one has to be later."""
        payload = json.dumps({"job": job, "type": event} | fields)
        await call(self.client, "XADD", self.partition.log, f"{1000 * (await self.now() - ago):.0f}-*", "e", payload)

    async def fold(self) -> None:
        """Let a projector fold all that the log holds, and hand over. It doesn't live to look after anything."""
        async with projecting(self.config):
            await caught_up(self.client, self.keys)

    async def held(self, member: str = "me") -> Partition:
        """The partition, as one that is a member's."""
        lease = await Ownership(self.client, self.keys, 60.0, member).acquire(0)
        assert lease is not None
        return Partition(lease)

    async def decisions(self, after: int = 0) -> list[dict[str, Any]]:
        """What was appended after so many entries."""
        entries = await self.client.xrange(self.partition.log)
        return [json.loads(payload) for _, (_, payload) in entries[after:]]

    async def snapshot(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.client.hget(self.partition.state(job), "snapshot"))
        return found
