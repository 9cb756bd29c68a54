"""What is counted and timed, for Prometheus. No label names a job: there are too many.

Each role has a registry of its own, since `up` shows those of its projectors' processes beside the gateway's.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

__all__ = [
    "APPENDED",
    "CLIENTS",
    "CLIENTS_DROPPED",
    "COMMIT_SECONDS",
    "DEAD_LETTERS",
    "FOLDED",
    "FOLD_SECONDS",
    "GATEWAY",
    "PARTITIONS_DROPPED",
    "PROJECTOR",
    "REQUESTS",
]

GATEWAY: Final = CollectorRegistry()
PROJECTOR: Final = CollectorRegistry()
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

REQUESTS: Final = Counter(
    "streamproc_requests",
    "Requests that were answered, by the route's template; a WebSocket when it is over.",
    ["method", "route", "status"],
    registry=GATEWAY,
)
APPENDED: Final = Counter("streamproc_events_appended", "Events appended over HTTP.", ["route"], registry=GATEWAY)
CLIENTS: Final = Gauge(
    "streamproc_clients", "Clients that wait for changes now: sse, websocket or poll.", ["transport"], registry=GATEWAY
)
CLIENTS_DROPPED: Final = Counter(
    "streamproc_clients_dropped", "Clients that were closed because they took too little.", registry=GATEWAY
)
ProcessCollector(registry=GATEWAY)

FOLDED: Final = Counter("streamproc_events_folded", "Events that this projector has committed.", registry=PROJECTOR)
FOLD_SECONDS: Final = Histogram(
    "streamproc_fold_seconds", "To load and fold a batch.", buckets=_SECONDS, registry=PROJECTOR
)
COMMIT_SECONDS: Final = Histogram(
    "streamproc_commit_seconds",
    "From the end of a batch's fold to the answer to its commit.",
    buckets=_SECONDS,
    registry=PROJECTOR,
)
DEAD_LETTERS: Final = Counter(
    "streamproc_events_buried", "Entries that this projector has made dead letters.", registry=PROJECTOR
)
PARTITIONS_DROPPED: Final = Counter(
    "streamproc_partitions_dropped", "Partitions given up because a commit was refused.", ["reason"], registry=PROJECTOR
)
