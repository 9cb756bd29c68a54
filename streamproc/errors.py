"""Every error that streamproc raises, split by whose fault it is.

::

    StreamprocError
    ├── CallerError            the caller's: sending it again cannot help
    │   ├── InvalidEvent       not an event of the wire format; names the field
    │   ├── InvalidPosition    not a position or resume token
    │   ├── ConfigError        settings that cannot work; names every wrong one
    │   ├── UnknownJob         no event of this job has been folded
    │   ├── UnknownKind        there are no jobs of this kind
    │   ├── PastGone           a history doesn't reach back that far
    │   ├── JobConflict        a job of this id was created with other content
    │   └── DataInUse          another embedded server has the data folder
    ├── ServerError            the Redis server's: try again once it is mended
    │   ├── ServerUnavailable  gone, refusing, loading, out of memory
    │   ├── PastPending        a long history is being folded; ask again
    │   ├── UnfitServer        too old, evicting, or holding an unknown format
    │   └── WrongKey           a key of ours holds something else
    ├── JobCanceled            nobody's: a job was asked to stop, and its worker does
    ├── Fenced                 another owner has the partition: stop committing
    └── CursorConflict         memory and store disagree: drop memory, load again
"""

__all__ = [
    "CallerError",
    "ConfigError",
    "CursorConflict",
    "DataInUse",
    "Fenced",
    "InvalidEvent",
    "InvalidPosition",
    "JobCanceled",
    "JobConflict",
    "PastGone",
    "PastPending",
    "ServerError",
    "ServerUnavailable",
    "StreamprocError",
    "UnfitServer",
    "UnknownJob",
    "UnknownKind",
    "WrongKey",
]


class StreamprocError(Exception):
    """The root of the tree."""


class CallerError(StreamprocError):
    """What was asked for is wrong; the same again fails the same."""


class InvalidEvent(CallerError):
    """A payload that is not an event of the wire format.

    Args:
        reason: what is wrong, for a person.
        field: the field it is about, or None where it is the whole payload.
    """

    def __init__(self, reason: str, field: str | None = None) -> None:
        self.reason = reason
        self.field = field
        super().__init__(f"{field}: {reason}" if field else reason)


class InvalidPosition(CallerError):
    """A string that is not ``ms-seq``, or not a resume token."""


class ConfigError(CallerError):
    """Settings that cannot work. Its text has one line for each wrong setting."""


class UnknownJob(CallerError):
    """No event of this job has been folded."""


class UnknownKind(CallerError):
    """There are no jobs of this kind, and none that ended is remembered."""


class PastGone(CallerError):
    """A job's history doesn't reach back that far any more."""


class JobConflict(CallerError):
    """A job of this id exists and was created with other content."""


class DataInUse(CallerError):
    """Another embedded server has the data folder. Its text says which process, and where it serves."""


class ServerError(StreamprocError):
    """The Redis server cannot serve us as it is now."""


class ServerUnavailable(ServerError):
    """The server is gone, refuses, is loading its data, or is out of memory. Waiting may help."""


class PastPending(ServerError):
    """A long history was folded a part of the way; asked again, it goes on from there."""


class UnfitServer(ServerError):
    """The server is too old, evicts keys, or holds a format that this version does not speak."""


class WrongKey(ServerError):
    """A key of ours holds another type. Nothing was written; somebody has to look."""


class JobCanceled(StreamprocError):
    """The job was asked to stop. Passing through ``with sp.job(…)`` it ends the job as canceled, and goes on up.

    Args:
        reason: shown as the job's last message, or None to leave that as it is.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason or "the job was asked to stop")


class Fenced(StreamprocError):
    """The lease is not ours any more: another owner may have it, and nothing was written."""


class CursorConflict(StreamprocError):
    """The cursor is not where the batch began, and nothing was written.

    Args:
        cursor: where the cursor is.
    """

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        super().__init__(f"the cursor is at {cursor}")
