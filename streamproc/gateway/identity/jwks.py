"""An issuer's public keys (RFC 7517), from a URL or a file: kept for some minutes, and read anew for a key unknown."""

import logging
import time
from typing import Any, Final

import anyio
import httpx
import msgspec
from jwt import PyJWK, PyJWTError
from msgspec import Struct

from streamproc.gateway.problems import Problem

__all__ = ["KeySet"]

_FRESH_SECONDS: Final = 300.0
_LEAST_SECONDS: Final = 10.0
"""Between two readings, whatever tokens name: else whoever makes up key ids makes us ask the issuer for each."""
_TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 1024 * 1024
_logger = logging.getLogger("streamproc.gateway")


class _Published(Struct):
    keys: list[dict[str, Any]]


class KeySet:
    """The keys that an issuer publishes.

    Args:
        source: a URL, or the path of a file.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: list[dict[str, Any]] | None = None
        self._tried = float("-inf")
        self._reading = anyio.Lock()

    async def key(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of a name, if it is one for the algorithm. Without a name, the only one that is for it.

        Raises:
            Problem: 503, as there are no keys to look among.
        """
        found = self._find(kid, algorithm)
        if found is None or self._age() > _FRESH_SECONDS:
            await self._read_anew()
            found = self._find(kid, algorithm)
        if self._keys is None:
            raise Problem(503, "keys-unavailable", "the issuer's keys can't be read now", {"retry-after": "10"})
        return found

    def _age(self) -> float:
        return time.monotonic() - self._tried

    def _find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        found = []
        for published in self._keys or ():
            if kid not in (None, published.get("kid")) or published.get("use", "sig") != "sig":
                continue
            # A secret has no place among public keys; and a key that names its algorithm is for no other.
            if published.get("kty") == "oct" or published.get("alg", algorithm) != algorithm:
                continue
            try:
                found.append(PyJWK(published, algorithm))
            except PyJWTError:
                continue  # of a type that the algorithm has no use for
        return found[0] if len(found) == 1 else None

    async def _read_anew(self) -> None:
        """Read the keys, unless somebody did a moment ago. Those that are known stay where that fails."""
        async with self._reading:
            if self._age() < _LEAST_SECONDS:
                return
            self._tried = time.monotonic()
            try:
                with anyio.fail_after(_TIMEOUT_SECONDS):
                    self._keys = msgspec.json.decode(await self._content(), type=_Published).keys
            except (OSError, TimeoutError, httpx.HTTPError, msgspec.DecodeError) as error:
                why = str(error) or type(error).__name__
                _logger.warning("the keys at %s can't be read, and those known are used: %s", self._source, why)

    async def _content(self) -> bytes:
        if "://" not in self._source:
            return await anyio.Path(self._source).read_bytes()
        content = bytearray()
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as http, http.stream("GET", self._source) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MAX_BYTES:
                    raise OSError(f"more than {_MAX_BYTES:,} bytes")
        return bytes(content)
