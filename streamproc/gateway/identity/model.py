"""An identity: a name, scopes, and limits to some jobs. Pure."""

from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from streamproc.auth import SCOPES

__all__ = ["ANONYMOUS", "EVERYBODY", "Identity"]


class Identity(Struct, frozen=True, kw_only=True):
    """Whoever asks.

    Args:
        name: for logs and rate limits.
        via: how it became known: ``none``, ``key:<the first digits of its hash>``, ``jwt:<issuer>``.
        scopes: of `SCOPES`.
        kinds: of jobs that it sees; None is all.
        owners: likewise.
        jobs: patterns (``*``, ``?``, ``[…]``) of the ids that it sees; None is all.
        expires: when it ends, in seconds since 1970; None is never.
    """

    name: str
    via: str = "none"
    scopes: frozenset[str] = frozenset()
    kinds: tuple[str, ...] | None = None
    owners: tuple[str, ...] | None = None
    jobs: tuple[str, ...] | None = None
    expires: float | None = None

    @property
    def limited(self) -> bool:
        """Whether there may be jobs that it doesn't see."""
        return self.kinds is not None or self.owners is not None or self.jobs is not None

    def may(self, scope: str) -> bool:
        """Whether it was granted a scope."""
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, job: str, kind: str | None, owner: str | None) -> bool:
        """Whether a job is within all of its limits. A job without a kind or an owner is outside a limit to some."""
        return (
            (self.kinds is None or kind in self.kinds)
            and (self.owners is None or owner in self.owners)
            and (self.jobs is None or any(fnmatchcase(job, pattern) for pattern in self.jobs))
        )


ANONYMOUS: Final = Identity(name="anonymous")
"""Who says nothing of themselves, where that matters."""
EVERYBODY: Final = Identity(name="everybody", scopes=frozenset(SCOPES))
"""Who asks a gateway without authentication."""
