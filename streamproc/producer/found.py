"""A job as somebody else sees it: its snapshot, read once."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from streamproc.errors import ServerError
from streamproc.producer.page import as_html
from streamproc.producer.shown import as_line, as_text

__all__ = ["Eta", "Items", "JobSnapshot", "ProgressIndicator", "StageSnapshot", "UnitCounts", "decode_snapshot"]


class ProgressIndicator(Struct, frozen=True):
    """A counter of a job: so much done of so much, over all its units."""

    label: str
    total: float | int
    done: float | int


class StageSnapshot(Struct, frozen=True):
    """A stage of a job. Its status is ``pending``, ``running``, ``finished``, ``failed`` or ``skipped``."""

    name: str
    weight: float | int
    status: str
    percent: float | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    error: dict[str, Any] | None


class UnitCounts(Struct, frozen=True):
    """How many units a job has, and in which state."""

    total: int
    pending: int
    running: int
    finished: int
    failed: int


class Items(Struct, frozen=True):
    """So many done of a total."""

    done: float | int
    total: float | int | None


class Eta(Struct, frozen=True):
    """How long the job will take yet: seconds and instants by quantile, or why nobody knows.

    Of a job in the queue it may be told when it will start.
    """

    remaining_seconds: dict[str, float] | None
    finish_at: dict[str, datetime] | None
    basis: str | None
    reason: str | None
    start_at: dict[str, datetime] | None = None


class JobSnapshot(Struct, frozen=True, kw_only=True):
    """A job as it was when it was read. Times are UTC; what isn't known is None.

    A notebook shows it as a bar with its stages, `print` as a text, and a prompt as a line.

    Its status is ``queued``, ``started``, ``running``, ``paused``, ``finished``, ``failed`` or ``canceled``.
    """

    job_id: str
    kind: str | None
    title: str | None
    status: str
    percent: float | None
    message: str | None
    details: dict[str, Any] | None
    current_stage: str | None
    stages: list[StageSnapshot]
    indicators: list[ProgressIndicator]
    items: Items | None
    units: UnitCounts
    worker: str | None
    attempt: int
    labels: dict[str, str]
    owner: str | None
    result: Any
    error: dict[str, Any] | None
    requested: str | None
    stalled: bool
    eta: Eta | None
    created_at: datetime | None
    started_at: datetime | None
    resumed_at: datetime | None = None
    progressed_at: datetime | None = None
    heard_at: datetime | None = None
    updated_at: datetime | None
    finished_at: datetime | None
    events: int
    late: int
    duplicates: int
    position: str

    @property
    def progress(self) -> list[ProgressIndicator]:
        """Its indicators."""
        return self.indicators

    def __repr__(self) -> str:
        return as_line(self)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self)


def decode_snapshot(snapshot: bytes) -> JobSnapshot:
    """A snapshot as a gateway serves it, or as it is stored: then it has what an estimate is made of, and none.

    Raises:
        ServerError: it isn't a snapshot, or one of a version that this one doesn't know.
    """
    try:
        fields = msgspec.json.decode(snapshot, type=dict[str, Any])
        if isinstance(fields.get("eta"), list):
            fields["eta"] = None
        return msgspec.convert(fields, JobSnapshot)
    except msgspec.DecodeError as error:
        raise ServerError(f"what was found isn't a job's snapshot: {error}") from error
