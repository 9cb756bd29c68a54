"""What the effects of several types of event share: beginning to run, and done of total."""

from collections.abc import Callable

from projections.job import Items, State
from streamproc.events import Event, Mark
from streamproc.projection import millis, rfc3339

__all__ = ["Effect", "begin", "items_of", "share_of", "take_up"]

Effect = Callable[[State, Event, str], Mark | None]
"""Changes a state by an event at a position; returns the mark of an event that turned out to have no effect."""


def begin(state: State, position: str, status: str) -> None:
    job = state.job
    if job.status == "queued" or (job.status == "started" and status == "running"):
        job.status = status
    if job.started_at is None:
        job.started_at = rfc3339(millis(position))
    if job.stalled:
        job.stalled = False


def take_up(state: State, position: str, status: str) -> None:
    """A worker begins, or begins again."""
    if state.job.started_at is not None:
        state.job.resumed_at = rfc3339(millis(position))
    begin(state, position, status)


def items_of(before: Items | None, done: float | int | None, total: float | int | None) -> Items:
    """Done of total, each kept from the last report where this one doesn't say it."""
    if before is not None:
        done = before.done if done is None else done
        total = before.total if total is None else total
    return Items(done or 0, total)


def share_of(items: Items) -> float | None:
    if items.total is None:
        return None
    return 100.0 * items.done / items.total if items.total > 0 else 0.0
