"""Static keys: known by their hashes."""

import hashlib
from collections.abc import Mapping

from streamproc.auth import Key
from streamproc.gateway.identity.model import Identity

__all__ = ["Keyring"]


class Keyring:
    """The keys of a gateway.

    Looking one up compares hashes, whose digits nobody can choose; so how long it takes tells nothing of the keys.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._identities = {key.sha256.lower(): _identity(name, key) for name, key in keys.items()}
        self.vias = frozenset(identity.via for identity in self._identities.values())

    def find(self, given: str) -> Identity | None:
        """Whose key it is. One that has expired still is somebody's."""
        return self._identities.get(hashlib.sha256(given.encode()).hexdigest())


def _identity(name: str, key: Key) -> Identity:
    return Identity(
        name=name,
        via=f"key:{key.sha256[:16].lower()}",
        scopes=frozenset(key.scopes),
        kinds=key.kinds,
        owners=key.owners,
        jobs=key.jobs,
        expires=None if key.expires is None else key.expires.timestamp(),
    )
