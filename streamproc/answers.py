"""Answers that are kept for requests that come again under the same ``Idempotency-Key``."""

import zlib
from typing import Any, Final

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.keys import Keys

__all__ = ["Answer", "Answers", "Kept"]

_PENDING_MS: Final = 90_000
"""Every request takes less (a claim may wait for 60 s); one whose gateway died in the middle may be made again then."""
_KEEP_MS: Final = 86_400_000


class Answer(Struct, array_like=True):
    """An answer, as it went out."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Kept(Struct, array_like=True):
    """What is kept under a key: of which content, and the answer. It has none while the request is under way."""

    content: str
    answer: Answer | None = None


_decode = msgspec.msgpack.Decoder(Kept).decode
_encode = msgspec.msgpack.Encoder().encode


def _packed(kept: Kept) -> bytes:
    """In few bytes: thousands of positions are much alike."""
    return zlib.compress(_encode(kept), 1)


class Answers:
    """The answers of a namespace, each for a day.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def claim(self, key: str, content: str) -> Kept | None:
        """Take a key for a request of this content, for a while. Returns what is kept under it where it is taken."""
        mine = _packed(Kept(content))
        with server_errors():
            found: Any = await self._client.set(self._keys.answer(key), mine, nx=True, get=True, px=_PENDING_MS)
        return None if found is None else _decode(zlib.decompress(found))

    async def keep(self, key: str, content: str, answer: Answer) -> None:
        """Keep the answer to the request that has the key."""
        await call(self._client, "SET", self._keys.answer(key), _packed(Kept(content, answer)), "PX", _KEEP_MS)

    async def release(self, key: str) -> None:
        """Give a key back: its request came to nothing, and may be mended and made again."""
        await call(self._client, "DEL", self._keys.answer(key))
