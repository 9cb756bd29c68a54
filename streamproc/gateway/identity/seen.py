"""What routes ask of the identity behind a request."""

from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection

from streamproc.errors import UnknownJob
from streamproc.gateway.identity.model import Identity

__all__ = ["IDENTITY", "check_seen", "identity_of", "sees"]

IDENTITY: Final = "streamproc.identity"
"""Where the scope of a request holds its identity."""


class _Job(Struct):
    """What is read of a snapshot."""

    kind: str | None = None
    owner: str | None = None


_decode = msgspec.json.Decoder(_Job).decode


def identity_of(connection: HTTPConnection) -> Identity:
    """Who asks. Every request has an identity before any route sees it."""
    identity: Identity = connection.scope[IDENTITY]
    return identity


def check_seen(connection: HTTPConnection, job: str, snapshot: bytes | None) -> None:
    """Raise `UnknownJob` where a job isn't the identity's to see: it can't tell that from a job that isn't there.

    Args:
        connection: whose identity counts.
        job: its id.
        snapshot: what is stored of it; None where there is nothing yet, so that it has neither kind nor owner.
    """
    if not sees(identity_of(connection), job, snapshot):
        raise UnknownJob(f"there is no job {job}")


def sees(identity: Identity, job: str, snapshot: bytes | None) -> bool:
    """Whether an identity sees a job, of which this is stored."""
    if not identity.limited:
        return True
    found = _Job() if snapshot is None else _decode(snapshot)
    return identity.sees(job, found.kind, found.owner)
