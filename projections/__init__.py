"""The projections that are shipped: pure folds of a job's events."""

from typing import Final

from projections.eta import Eta
from projections.history import History
from projections.serving import Estimator
from projections.snapshot import Snapshot
from streamproc.projection import AnyProjection

__all__ = ["ALL", "ESTIMATOR"]

ALL: Final[tuple[AnyProjection, ...]] = (Snapshot(), History(), Eta())
"""In the order in which they fold: the snapshot marks the events that have no effect, the history keeps the marks, and
the eta goes by the snapshot."""

ESTIMATOR: Final = Estimator()
"""What a gateway makes estimates with."""
