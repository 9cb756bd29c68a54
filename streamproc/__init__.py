"""Event-sourced progress tracking on Redis Streams.

::

    with streamproc.connect() as sp, sp.job("import-42", kind="import") as job:
        for row in job.track(rows):
            ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamproc.chosen import choose_estimator
from streamproc.errors import ConfigError, JobCanceled, ServerUnavailable, StreamprocError, UnknownJob

if TYPE_CHECKING:
    from streamproc.producer.asynchronous import AsyncJob, AsyncProducer, connect_async
    from streamproc.producer.client import Producer, connect
    from streamproc.producer.current import current, current_job
    from streamproc.producer.found import JobSnapshot, ProgressIndicator
    from streamproc.producer.job import Job
    from streamproc.producer.parts import Indicator, Stage, Unit
    from streamproc.projection import Estimator

__version__ = "0.1.0"

__all__ = [
    "connect",
    "connect_async",
    "current",
    "current_job",
    "Producer",
    "AsyncProducer",
    "Job",
    "AsyncJob",
    "Stage",
    "Unit",
    "Indicator",
    "JobSnapshot",
    "ProgressIndicator",
    "JobCanceled",
    "StreamprocError",
    "ServerUnavailable",
    "UnknownJob",
    "ConfigError",
    "__version__",
]


def _estimator() -> "Estimator":
    from projections import ESTIMATOR  # which few need

    return ESTIMATOR


choose_estimator(_estimator)

# The projector and the gateway import this package too, and need nothing of the SDK.
_LAZY = {
    "connect": "client",
    "connect_async": "asynchronous",
    "current": "current",
    "current_job": "current",
    "Producer": "client",
    "AsyncProducer": "asynchronous",
    "Job": "job",
    "AsyncJob": "asynchronous",
    "Stage": "parts",
    "Unit": "parts",
    "Indicator": "parts",
    "JobSnapshot": "found",
    "ProgressIndicator": "found",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"streamproc.producer.{_LAZY[name]}"), name)
