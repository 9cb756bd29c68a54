"""What it means that an exception leaves ``with``: a wish that was followed, a canceled task, or a failure.

Of a task group's errors each is looked at: they come in one `BaseExceptionGroup`, even where there is only one.
"""

import sys
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from streamproc.errors import JobCanceled

__all__ = ["TASK_CANCELED", "Ending", "each", "ending_of", "is_task_canceled"]

TASK_CANCELED: Final = "its task was canceled"


class Ending(Enum):
    """How it ended."""

    CANCELED = auto()
    """By `JobCanceled`: the job does what was asked of it."""
    ABANDONED = auto()
    """By asyncio's or trio's cancellation of the task."""
    FAILED = auto()


def ending_of(error: BaseException) -> Ending:
    """How something ended that an exception has left."""
    errors = list(each(error))
    if not all(isinstance(error, JobCanceled) or is_task_canceled(error) for error in errors):
        return Ending.FAILED
    return Ending.CANCELED if any(isinstance(error, JobCanceled) for error in errors) else Ending.ABANDONED


def each(error: BaseException) -> Iterator[BaseException]:
    """An error, or those of its group and of the groups in it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from each(inner)
    else:
        yield error


def is_task_canceled(error: BaseException) -> bool:
    """Whether this is how asyncio or trio cancel a task."""
    # Who hasn't imported them can't have been canceled by them.
    for library, name in (("asyncio", "CancelledError"), ("trio", "Cancelled")):
        kind = getattr(sys.modules.get(library), name, None)
        if kind is not None and isinstance(error, kind):
            return True
    return False
