"""Numbers for clients that know no names: of the tasks that they create, and of their types."""

from typing import Final

from redis.asyncio import Redis

from streamproc.connection import call
from streamproc.keys import Keys

__all__ = ["Numbers"]

_TASKS: Final = "tasks"
_TYPES: Final = "types"
_MOST_TYPES: Final = 10_000


class Numbers:
    """The numbers of a namespace, from 1 on. All of its methods raise `ServerError`.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._key = keys.numbers

    async def task(self) -> int:
        """A number that no task has yet."""
        return await self._next(_TASKS)

    async def number(self, kind: str) -> int | None:
        """The number of a kind of jobs. It gets one, and keeps it; None where there are too many kinds for that."""
        field = f"kind:{kind}"
        known: bytes | None = await call(self._client, "HGET", self._key, field)
        if known is None:
            number = await self._next(_TYPES)
            if number > _MOST_TYPES:
                return None
            # Both ways, and the way back first: a number that is told leads to its kind. Of two at once one is told.
            await call(self._client, "HSET", self._key, f"type:{number}", kind)
            await call(self._client, "HSETNX", self._key, field, number)
            known = await call(self._client, "HGET", self._key, field)
        assert known is not None  # noqa: S101  (it was there, or has been set)
        return int(known)

    async def kind(self, number: int) -> str | None:
        """The kind that has a number."""
        kind: bytes | None = await call(self._client, "HGET", self._key, f"type:{number}")
        return None if kind is None else kind.decode()

    async def _next(self, what: str) -> int:
        number: int = await call(self._client, "HINCRBY", self._key, what, 1)
        return number
