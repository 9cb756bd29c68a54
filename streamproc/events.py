"""The event vocabulary: what a producer may say, and an event as it was recorded.

One flat struct holds every field of every type, so that an unknown type or field is tolerated and decoding is one
step. Which fields a type needs beyond the envelope is in `REQUIRED`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "DECISIONS",
    "MAX_NUMBER",
    "PROGRESS",
    "REQUIRED",
    "WISHES",
    "Error",
    "Event",
    "Mark",
    "Name",
    "RecordedEvent",
    "StageDeclaration",
    "Text",
]

MAX_NUMBER: Final = 2**53 - 1
"""The greatest count, size or weight: beyond it JavaScript's numbers lose units."""

JobId = Annotated[str, Meta(min_length=1, max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=1000)]
Whole = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Real = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
Amount = Whole | Real


class Error(Struct, frozen=True):
    """Why something failed: an exception's class, or a code, and what it said."""

    type: Annotated[str, Meta(max_length=256)]
    detail: Annotated[str, Meta(max_length=10_000)] | None = None


class StageDeclaration(Struct, frozen=True):
    """A stage as a job announces it. Weights are relative to one another."""

    name: Name
    weight: Amount = 1


class Event(Struct, kw_only=True, gc=False, omit_defaults=True):
    """One event, as sent. Times are the producer's, and for people; folds use the position's.

    The order of the fields is that of the fastest decoding: what the commonest events carry comes first.
    """

    job: JobId
    type: Name
    src: Name | None = None
    seq: Whole | None = None
    percent: float | None = None
    done: Amount | None = None
    total: Amount | None = None
    unit: Name | None = None
    stage: Name | None = None
    indicator: Name | None = None
    message: Text | None = None
    worker: Name | None = None
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    details: dict[str, Any] | None = None
    weight: Amount | None = None
    error: Error | None = None
    result: Any | UnsetType = UNSET
    kind: Name | None = None
    title: Text | None = None
    labels: Annotated[dict[Name, Annotated[str, Meta(max_length=256)]], Meta(max_length=64)] | None = None
    owner: Name | None = None
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | None = None
    stages: Annotated[list[StageDeclaration], Meta(max_length=1000)] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    params: Any | UnsetType = UNSET
    lease_seconds: Annotated[float, Meta(gt=0, le=MAX_NUMBER)] | None = None
    reason: Text | None = None
    by: Name | None = None
    index: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    total_stages: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    silent_seconds: Real | None = None
    trace: Annotated[str, Meta(max_length=256)] | None = None


_STAGE = ("started", "progressed", "finished", "failed", "skipped")
_UNIT = ("added", "started", "progressed", "finished", "failed")

REQUIRED: Final = (
    {f"stage.{verb}": "stage" for verb in _STAGE}
    | {f"unit.{verb}": "unit" for verb in _UNIT}
    | {"job.counted": "indicator"}
)
"""The field that a type cannot do without, beyond `job` and `type`."""

WISHES: Final = frozenset({"job.pause_requested", "job.resume_requested", "job.cancel_requested"})
"""What somebody asks of a worker. They count whoever sends them."""

DECISIONS: Final = frozenset({"job.claimed", "job.released", "job.stalled"})
"""What only the server's Functions append. Over HTTP they are refused."""

PROGRESS: Final = frozenset(
    {"job.progressed", "job.counted"}
    | {f"stage.{verb}" for verb in _STAGE}
    | {f"unit.{verb}" for verb in _UNIT if verb != "added"}
)
"""Reports of progress: they make a queued or started job `running`."""


class Mark(StrEnum):
    """Why a recorded event had no effect. It is kept in history beside the event."""

    DUPLICATE = "duplicate"
    """Its `src` had sent this `seq`, or a later one, before."""
    LATE = "late"
    """The job, or the unit that it names, was final; or what the server had decided was no longer true."""
    SUPERSEDED = "superseded"
    """Its attempt is lower than the current one."""
    UNCLAIMED = "unclaimed"
    """Another worker holds the job's claim, or its own has lost it; or it is a claim of what isn't queued any more."""
    UNKNOWN = "unknown"
    """A type of another version, or of somebody's own."""
    OVER_LIMIT = "over_limit"
    """It would add one stage, indicator or attempt more than a job may have."""


class RecordedEvent(Struct, gc=False):
    """An event with its place in the log.

    Args:
        position: ``ms-seq``, assigned by the server. Its milliseconds are the event's time.
        event: what was sent.
        raw: the payload as it was sent, unknown fields and all.
        mark: why it has no effect, or None. Set before the first fold for a duplicate, else by the first
            projection that knows; projections fold in their declared order, so later ones see it.
        folded: the state that the snapshot's fold has just made of the job, for those that build on it.
    """

    position: str
    event: Event
    raw: bytes
    mark: Mark | None = None
    folded: Any = None
