"""Event-sourced progress tracking on Redis Streams.

::

    with streamproc.connect() as sp, sp.job("import-42", kind="import") as job:
        for row in job.track(rows):
            ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamproc.errors import ConfigError, JobCanceled, ServerUnavailable, StreamprocError

if TYPE_CHECKING:
    from streamproc.producer.client import Producer, connect
    from streamproc.producer.job import Job
    from streamproc.producer.parts import Indicator, Stage, Unit

__version__ = "0.1.0"

__all__ = [
    "connect",
    "Producer",
    "Job",
    "Stage",
    "Unit",
    "Indicator",
    "JobCanceled",
    "StreamprocError",
    "ServerUnavailable",
    "ConfigError",
    "__version__",
]

# The projector and the gateway import this package too, and need nothing of the SDK.
_LAZY = {
    "connect": "client",
    "Producer": "client",
    "Job": "job",
    "Stage": "parts",
    "Unit": "parts",
    "Indicator": "parts",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"streamproc.producer.{_LAZY[name]}"), name)
