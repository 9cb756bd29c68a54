"""Reads that gather: whoever wants the same shares one read, and what is wanted while some are read goes together."""

import itertools
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import anyio

from streamproc.errors import ServerError

__all__ = ["Gathering", "Reply"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Reply(Generic[V]):
    """What a read will get, for all that asked before it was sent.

    Attributes:
        made: what one of them has made of it for the others, by whatever tells such things apart.
    """

    __slots__ = ("_done", "_error", "_value", "made")

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}
        self._done = anyio.Event()
        self._error: ServerError | None = None
        self._value: V | None = None

    async def wait(self) -> V:
        """Wait for it. Raises `ServerError`."""
        await self._done.wait()
        if self._error is not None:
            raise type(self._error)(str(self._error)) from self._error
        value: Any = self._value
        return value  # type: ignore[no-any-return]

    def end(self, value: V | ServerError) -> None:
        """Here it is, or why not."""
        if isinstance(value, ServerError):
            self._error = value
        else:
            self._value = value
        self._done.set()


class Gathering(Generic[K, V]):
    """Reads what is wanted.

    Args:
        read: reads some in one go; for each what was found, or an error. It may raise `ServerError` for all.
        together: how many at most go together.
    """

    def __init__(self, read: Callable[[list[K]], Awaitable[Sequence[V | ServerError]]], together: int) -> None:
        self._read = read
        self._together = together
        self._wanted: dict[K, Reply[V]] = {}
        self._some = anyio.Event()

    def want(self, key: K) -> Reply[V]:
        """What a read will get that is sent from now on."""
        reply = self._wanted.get(key)
        if reply is None:
            reply = self._wanted[key] = Reply()
            self._some.set()
        return reply

    async def get(self, key: K) -> V:
        """The same, waited for. Raises `ServerError`."""
        return await self.want(key).wait()

    async def run(self) -> None:
        """Read, until cancelled."""
        while True:
            await self._some.wait()
            self._some = anyio.Event()
            while self._wanted:
                batch = dict(itertools.islice(self._wanted.items(), self._together))
                for key in batch:
                    del self._wanted[key]
                found: Sequence[V | ServerError]
                try:
                    found = await self._read(list(batch))
                except ServerError as error:
                    found = [error] * len(batch)
                for reply, value in zip(batch.values(), found, strict=True):
                    reply.end(value)
