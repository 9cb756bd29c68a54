"""Which job, stage or unit the running code is in: what ``with`` has entered, in this thread or task."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamproc.producer.job import AnyJob
    from streamproc.producer.target import Target

__all__ = ["current", "current_job", "enter", "leave"]

_entered: ContextVar[tuple["Target", ...]] = ContextVar("streamproc", default=())


def current() -> "Target | None":
    """The innermost job, stage or unit that ``with`` has entered here, or None. A new thread begins with none."""
    return next(_inside(), None)


def current_job() -> "AnyJob | None":
    """The innermost job that ``with`` has entered here, or None."""
    from streamproc.producer.job import AnyJob

    return next((target for target in _inside() if isinstance(target, AnyJob)), None)


def _inside() -> "Iterator[Target]":
    """The innermost first. One that is over was left elsewhere: where its generator was closed, or by an interrupt."""
    return (target for target in reversed(_entered.get()) if not target._is_over)


def enter(target: "Target") -> None:
    _entered.set((*(entered for entered in _entered.get() if not entered._is_over), target))


def leave(target: "Target") -> None:
    """Also where a generator is closed in another context than it began in: there is nothing to leave then."""
    _entered.set(tuple(entered for entered in _entered.get() if entered is not target))
