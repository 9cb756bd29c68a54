"""Trackers with the interfaces that lessons on progress teach, so that code written for those runs unchanged.

Each works alone, in memory. Given a connection, ``ProgressTracker("job-1", sp=sp)``, it reports to streamproc too:
the same calls, and whoever watches the job sees them. `progress` is for percentages and steps, `stages` for weighted
stages, `documents` for many documents, `indicators` for counters that tasks share; `reporting` says how a job ends.
"""

from streamproc.producer.found import ProgressIndicator
from streamproc.trackers.documents import DocStatus, DocumentProgress, DocumentProgressTracker
from streamproc.trackers.indicators import ExecutionContext, IndicatorTracker
from streamproc.trackers.progress import ProgressEvent, ProgressTracker, ProgressType
from streamproc.trackers.stages import Stage, StageContext, StageProgress, StageStatus

__all__ = [
    "ProgressTracker",
    "ProgressEvent",
    "ProgressType",
    "StageProgress",
    "StageContext",
    "Stage",
    "StageStatus",
    "DocumentProgressTracker",
    "DocumentProgress",
    "DocStatus",
    "IndicatorTracker",
    "ExecutionContext",
    "ProgressIndicator",
]
