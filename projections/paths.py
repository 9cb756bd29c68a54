"""A job's path: when it was how far. A run: the path of an attempt that ended.

A path is kept on its **active clock**: milliseconds since the attempt started, without the time that it was paused or
stalled. Of each stage it has when the stage began and ended, how large it is, and when each tenth of it was reached; a
job without stages is one stage without a name.
"""

from msgspec import Struct

__all__ = ["Path", "Run", "StagePath", "clock_of"]


class StagePath(Struct, array_like=True, gc=False):
    """A stage of a path.

    Args:
        name: of the stage; empty for a job without stages.
        began: on the active clock, in ms.
        ended: likewise; None while it runs.
        size: its total, in whatever it counts; None where it counts nothing.
        tenths: when it had reached 1/10, 2/10, …, 9/10.
        first: the first report of any progress: when, and the percent. What comes before is no pace.
        outcome: None while it runs, then ``finished``, ``failed`` or ``skipped``.
    """

    name: str
    began: int
    ended: int | None = None
    size: float | int | None = None
    tenths: list[int] = []
    first: tuple[int, float] | None = None
    outcome: str | None = None


class Path(Struct, array_like=True, gc=False):
    """How a job came where it is. Times are in ms, of the log's own clock.

    Args:
        attempt: whose path it is.
        started: when the attempt did; None before.
        away: how long it was paused or stalled since, up to the last return.
        since: when it was paused, or was heard of last before it was found to be stalled; None while it is active.
        back: when it was paused or stalled last, and went on.
        gap: the longest silence before a report of progress or a stall, about.
        stages: in the order in which they began.
        queued: when a later attempt than the first was; None for the first, which was when the job was created.
    """

    attempt: int = 1
    started: int | None = None
    away: int = 0
    since: int | None = None
    back: int = 0
    gap: int = 0
    stages: list[StagePath] = []
    queued: int | None = None


class Run(Struct, array_like=True, gc=False):
    """An attempt that ended, as its kind remembers it.

    Args:
        outcome: ``finished``, ``failed`` or ``canceled``.
        duration: on the active clock, in ms.
        waited: from the job's creation, or from when a later attempt was queued, to the attempt's start, in ms.
        gap: the longest silence before a report of progress, a stall or the end of one that finished, in ms, about.
        stages: see `Path`.
        size: of the whole: how many units it had, or the totals of its indicators, or of its items.
    """

    outcome: str
    duration: int
    waited: int
    gap: int
    stages: list[StagePath]
    size: float | int | None = None


def clock_of(path: Path, now: int) -> int:
    """The active clock, in ms."""
    if path.started is None:
        return 0
    return max(0, (now if path.since is None else path.since) - path.started - path.away)
