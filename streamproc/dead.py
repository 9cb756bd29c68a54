"""Dead letters: what of the log could not be folded, as the projectors have kept it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import server_errors
from streamproc.keys import Keys
from streamproc.log import Entry, stream_range
from streamproc.position import key, millis, rfc3339

__all__ = ["DeadLetter", "DeadLetters"]

_SPARE: Final = 2


class DeadLetter(Struct, frozen=True):
    """An entry of the log that could not be folded.

    Args:
        partition: whose log.
        position: where it stood in the log.
        time: when it was appended, RFC 3339.
        reason: why it could not be.
        entry: its fields, in order, each a name and a value; what is no UTF-8 in them is replaced.
    """

    partition: int
    position: str
    time: str
    reason: str
    entry: list[list[str]]


class DeadLetters:
    """The dead letters of a namespace. All of its methods raise `ServerError`.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._partitions = keys.partitions

    async def of(self, partition: int, after: str, count: int) -> list[DeadLetter]:
        """Up to `count` of a partition after a position, the oldest first."""
        entries = await stream_range(self._client, self._partitions[partition].dead, after, count)
        return [_letter(partition, entry) for entry in entries]

    async def newest(self, before: tuple[str, int] | None, count: int) -> list[DeadLetter]:
        """Up to `count` of all partitions, the newest first.

        Args:
            before: position and partition of one; the newest before it. None begins with the newest of all.
        """
        bounds = {keys.partition: _bound(keys.partition, before) for keys in self._partitions}
        share = min(count, 2 * count // len(bounds) + _SPARE)  # mostly as many of each are among the newest of all
        waiting: dict[int, list[DeadLetter]] = {}
        found: list[DeadLetter] = []
        while len(found) < count:
            hungry = [partition for partition in bounds if not waiting.get(partition)]
            for partition, letters in zip(hungry, await self._read(hungry, bounds, share), strict=True):
                waiting[partition] = letters
                if len(letters) == share:
                    bounds[partition] = f"({letters[-1].position}"
                else:
                    del bounds[partition]
            waiting = {partition: letters for partition, letters in waiting.items() if letters}
            if not waiting:
                break
            while len(found) < count and waiting:
                newest = max(waiting, key=lambda partition: _place(waiting[partition][0]))
                found.append(waiting[newest].pop(0))
                if not waiting[newest]:
                    del waiting[newest]
                    if newest in bounds:
                        break
        return found

    async def _read(self, partitions: Sequence[int], bounds: dict[int, str], count: int) -> list[list[DeadLetter]]:
        if not partitions:
            return []
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for partition in partitions:
                    dead = self._partitions[partition].dead
                    pipe.execute_command("XREVRANGE", dead, bounds[partition], "-", "COUNT", count)
                pages = await pipe.execute()
        return [
            [_letter(partition, entry) for entry in page] for partition, page in zip(partitions, pages, strict=True)
        ]


def _place(letter: DeadLetter) -> tuple[tuple[int, int], int]:
    return key(letter.position), letter.partition


def _bound(partition: int, before: tuple[str, int] | None) -> str:
    """Where a partition's letters begin that come after one of all, the newest first."""
    if before is None:
        return "+"
    position, its = before
    return position if partition < its else f"({position}"


def _letter(partition: int, entry: Entry) -> DeadLetter:
    position = entry[0].decode()
    _, reason, *fields = (value.decode(errors="replace") for value in entry[1])
    pairs = [fields[at : at + 2] for at in range(0, len(fields), 2)]
    return DeadLetter(partition, position, rfc3339(millis(position)), reason, pairs)
