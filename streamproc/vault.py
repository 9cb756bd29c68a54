"""What all gateways of a namespace must agree on: the secret they sign with, and which tickets were used."""

import secrets

from redis.asyncio import Redis

from streamproc.connection import call
from streamproc.keys import Keys

__all__ = ["Vault"]


class Vault:
    """The secret of a namespace, made when it is first needed, and what was spent.

    Args:
        client: of the server.
        keys: of the namespace.
        given: the secret, where somebody chose one.
    """

    def __init__(self, client: Redis, keys: Keys, given: str | None = None) -> None:
        self._client = client
        self._keys = keys
        self._secret = given

    async def secret(self) -> str:
        """What to sign with. Raises `ServerError`."""
        if self._secret is None:
            await call(self._client, "SET", self._keys.secret, secrets.token_hex(32), "NX")
            kept: bytes = await call(self._client, "GET", self._keys.secret)
            self._secret = kept.decode()
        return self._secret

    async def spend(self, name: str, seconds: int) -> bool:
        """Whether this is the first time that a name is spent, within some seconds. Raises `ServerError`."""
        return await call(self._client, "SET", self._keys.spent(name), "", "NX", "EX", seconds) is not None
