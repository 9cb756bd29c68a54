"""What a projector counts and times, batch by batch, for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["COMMIT_SECONDS", "DEAD_LETTERS", "FOLDED", "FOLD_SECONDS", "PARTITIONS_DROPPED", "REGISTRY"]

REGISTRY: Final = CollectorRegistry()
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

FOLDED: Final = Counter("streamproc_events_folded", "Events that this projector has committed.", registry=REGISTRY)
FOLD_SECONDS: Final = Histogram(
    "streamproc_fold_seconds", "To load and fold a batch.", buckets=_SECONDS, registry=REGISTRY
)
COMMIT_SECONDS: Final = Histogram(
    "streamproc_commit_seconds",
    "From the end of a batch's fold to the answer to its commit.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
DEAD_LETTERS: Final = Counter(
    "streamproc_events_buried", "Entries that this projector has made dead letters.", registry=REGISTRY
)
PARTITIONS_DROPPED: Final = Counter(
    "streamproc_partitions_dropped", "Partitions given up because a commit was refused.", ["reason"], registry=REGISTRY
)
