"""Finding a job: its snapshot as a gateway serves it, or as it is stored, with an estimate made here."""

import logging

import msgspec

from streamproc.append import Appender
from streamproc.chosen import estimator
from streamproc.errors import ServerError, UnknownJob
from streamproc.producer.found import JobSnapshot, decode_snapshot
from streamproc.producer.sender import Transport

__all__ = ["find"]

_RUNS = 100
"""Of its kind, as a gateway takes them."""

_log = logging.getLogger("streamproc")


def find(transport: Transport, job: str) -> JobSnapshot:
    """A job as it is now.

    Raises:
        UnknownJob: nothing of it has been folded.
        ServerError: the server is gone, refuses us, or holds no snapshot there.
    """
    snapshot = transport.snapshot(job)
    if snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    if isinstance(transport, Appender):
        snapshot = _estimated(transport, snapshot)
    return decode_snapshot(snapshot)


def _estimated(appender: Appender, snapshot: bytes) -> bytes:
    """A stored snapshot with the estimate that a gateway would serve."""
    chosen = estimator()
    try:
        kind = chosen.kind(snapshot)
        if kind is None:
            return chosen.served(snapshot, None, appender.now(), None)[0]
        runs, now = appender.runs(kind, _RUNS)
        return chosen.served(snapshot, chosen.learn(runs), now, None)[0]
    except (ServerError, msgspec.DecodeError) as error:
        _log.debug("no estimate can be made: %s", error)
        return snapshot
