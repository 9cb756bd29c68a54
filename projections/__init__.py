"""The projections that are shipped: pure folds of a job's events."""

from typing import Final

from projections.eta import Eta
from projections.history import History
from projections.serving import Estimator
from projections.snapshot import Snapshot
from projections.stalls import Stalls
from streamproc.projection import AnyProjection

__all__ = ["ALL", "ESTIMATOR", "PAST", "STALLS"]

_SNAPSHOT: Final = Snapshot()
_ETA: Final = Eta()

ALL: Final[tuple[AnyProjection, ...]] = (_SNAPSHOT, History(), _ETA)
"""In the order in which they fold: the snapshot marks the events that have no effect, the history keeps the marks, and
the eta goes by the snapshot."""

PAST: Final[tuple[AnyProjection, ...]] = (_SNAPSHOT, _ETA)
"""What a gateway looks back with: they fold a job's history to where somebody wants to see it. The history is there."""

ESTIMATOR: Final = Estimator()
"""What a gateway makes estimates with."""

STALLS: Final = Stalls()
"""What a projector finds the jobs with that have been silent for too long."""
