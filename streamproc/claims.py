"""Claims as commands: what waits in the queues, taking it out of them, and who holds a job.

A queue is an index: a commit writes it, so it lags behind the log as all projections do. Taking a job out of it
and appending what that is for is one atomic step, so of many that want a job one gets to append ``job.claimed``.
Whether that is true at its place in the log the fold decides; who appended it looks there before it believes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.events import Event
from streamproc.keys import Keys
from streamproc.queues import Claim, created_and_job, queue_member, queue_of
from streamproc.wire import encode

__all__ = ["Claims", "Held", "Waiting"]

_decode_claim = msgspec.json.Decoder(Claim | None).decode


class Waiting(NamedTuple):
    """A job in a queue. It sorts as it is to be claimed: by priority, then age."""

    score: int
    created: int
    job: str


def _waiting(name: bytes, score: float) -> Waiting | None:
    """A member of a queue; None where it is nobody's of ours."""
    try:
        return Waiting(int(score), *created_and_job(name.decode()))
    except ValueError:
        return None


class Held(NamedTuple):
    """What a worker gets to know of a job: its snapshot and params as JSON, and who holds it."""

    snapshot: bytes | None
    params: bytes | None
    claim: Claim | None


class Claims:
    """The queues and claims of a namespace.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def heads(self, kinds: Iterable[str | None], most: int) -> dict[str | None, list[Waiting]]:
        """Up to `most` jobs of each partition's queue of each kind (None is of all), in their order. One round trip."""
        wanted = list(kinds)
        found: dict[str | None, list[Waiting]] = {kind: [] for kind in wanted}
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for keys in self._keys.partitions:
                    queues = [keys.queue(queue_of(kind)) for kind in (None, *wanted)]
                    pipe.execute_command("FCALL_RO", "sp_heads", len(queues), *queues, most - 1)
                replies = await pipe.execute()
        for reply in replies:
            for which, page in zip(reply[::2], reply[1::2], strict=True):
                pairs = zip(page[::2], page[1::2], strict=True)
                found[wanted[which]] += filter(None, (_waiting(name, float(score)) for name, score in pairs))
        for waiting in found.values():
            waiting.sort()
        return found

    async def take(self, job: str, created: int, kind: str | None, events: Sequence[Event]) -> str | None:
        """Take a job out of its queues and append what it is taken for.

        Args:
            created: when the job was, in ms since 1970.
            kind: of the job.
            events: of this job.

        Returns:
            The position of the last event, or None where the job wasn't in the queue: nothing was appended.

        Raises:
            ServerUnavailable: nobody knows whether it was taken.
        """
        keys = self._keys.of(job)
        queues = [keys.queue(queue_of(name)) for name in ((None,) if kind is None else (None, kind))]
        position: bytes | None = await call(
            self._client,
            "FCALL", "sp_take", 1 + len(queues), keys.log, *queues, queue_member(created, job), *map(encode, events),
        )  # fmt: skip
        return None if position is None else position.decode()

    async def held(self, job: str) -> Held:
        """A job as the fold left it."""
        snapshot, params, claim = await call(
            self._client, "HMGET", self._keys.of(job).state(job), "snapshot", "params", "claim"
        )
        return Held(snapshot, params, None if claim is None else _decode_claim(claim))

    async def refusing(self, jobs: Iterable[str]) -> Mapping[str, Claim]:
        """The claims on those of some jobs that have one, held or lost. One round trip."""
        wanted = list(jobs)
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for job in wanted:
                    pipe.hget(self._keys.of(job).state(job), "claim")
                saved = await pipe.execute()
        claims = {job: _decode_claim(claim) for job, claim in zip(wanted, saved, strict=True) if claim is not None}
        return {job: claim for job, claim in claims.items() if claim is not None}
