"""The projections that are shipped: pure folds of a job's events."""

from typing import Final

from projections.history import History
from projections.snapshot import Snapshot
from streamproc.projection import AnyProjection

__all__ = ["ALL"]

ALL: Final[tuple[AnyProjection, ...]] = (Snapshot(), History())
"""In the order in which they fold: the snapshot marks the events that have no effect, the history keeps the marks."""
