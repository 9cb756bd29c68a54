"""A job with its documents, as the dialect of progress tracking shows it: made once for all who follow it."""

from collections import OrderedDict
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from streamproc.events import Error
from streamproc.gateway.estimates import Estimates
from streamproc.position import parse_rfc3339
from streamproc.store import Store

__all__ = ["MOST_DOCUMENTS", "Overview", "Overviews"]

MOST_DOCUMENTS: Final = 100
"""Of the units of a job, in the order in which they joined."""
_MOST_KEPT: Final = 500
_STATUSES: Final = {
    "queued": "pending",
    "started": "running",
    "running": "running",
    "paused": "running",
    "finished": "completed",
    "failed": "failed",
    "canceled": "failed",
}
_OF_STAGES: Final = {"finished": "completed"}
_OF_DOCUMENTS: Final = {"running": "processing", "finished": "completed"}


class OverviewStage(Struct):
    """A stage. `status` is pending, running, completed, failed or skipped; `duration` is in seconds."""

    name: str
    status: str
    progress: float
    duration: float | None


class Document(Struct):
    """A unit. `status` is pending, processing, completed or failed; `duration` is in seconds."""

    name: str
    status: str
    progress: float
    message: str
    duration: float | None
    error: str | None


class Overview(Struct):
    """A job. `percent` is null where nobody knows, and `overall_percent` 0 then.

    `status` is pending, running, completed or failed (canceled too); `type` percentage, stage, items or indeterminate.
    The index of a stage counts from 1, `estimated_remaining` seconds.
    """

    job_id: str
    type: str
    timestamp: str | None
    status: str
    percent: float | None
    overall_percent: float
    stage: str | None
    stage_index: int | None
    total_stages: int | None
    current_stage: str | None
    stages: list[OverviewStage]
    completed_items: float | int | None
    total_items: float | int | None
    message: str | None
    details: Any
    estimated_remaining: float | None
    error: str | None
    total_documents: int
    completed: int
    failed: int
    documents: list[Document]


class _Stage(Struct):
    name: str
    status: str
    percent: float | None
    duration_seconds: float | None


class _Items(Struct):
    done: float | int
    total: float | int | None


class _Units(Struct):
    total: int
    finished: int
    failed: int


class _Remaining(Struct):
    p50: float


class _Eta(Struct):
    remaining_seconds: _Remaining | None


class _Job(Struct):
    """What is read of a snapshot as it is served."""

    job_id: str
    status: str
    percent: float | None
    message: str | None
    details: msgspec.Raw
    current_stage: str | None
    stages: list[_Stage]
    items: _Items | None
    units: _Units
    error: Error | None
    eta: _Eta | None
    updated_at: str | None


class _Unit(Struct):
    """What is read of a unit."""

    unit: str
    status: str
    percent: float
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    error: Error | None = None


class _Kept(Struct):
    lock: anyio.Lock
    served: bytes = b""
    overview: bytes = b""


_decode_job: Final = msgspec.json.Decoder(_Job).decode
_decode_unit: Final = msgspec.json.Decoder(_Unit).decode
_encode: Final = msgspec.json.Encoder().encode


class Overviews:
    """The overviews of a namespace's jobs.

    Args:
        store: where the units are.
        estimates: for what goes out.
    """

    def __init__(self, store: Store, estimates: Estimates) -> None:
        self._store = store
        self._estimates = estimates
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def of(self, job: str, snapshot: bytes) -> bytes:
        """A stored snapshot as the dialect shows it. Raises `ServerError` where its units can't be read."""
        served = await self._estimates.served(job, snapshot)
        kept = self._kept.setdefault(job, _Kept(anyio.Lock()))
        self._kept.move_to_end(job)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        async with kept.lock:
            if kept.served != served:
                facts = _decode_job(served)
                units = await self._store.units(job, -1, MOST_DOCUMENTS) if facts.units.total else []
                kept.overview = _encode(_overview(facts, [_decode_unit(state) for _, state in units]))
                kept.served = served
            return kept.overview


def _overview(job: _Job, units: list[_Unit]) -> Overview:
    current = next((at for at, stage in enumerate(job.stages, 1) if stage.name == job.current_stage), None)
    remaining = None if job.eta is None else job.eta.remaining_seconds
    return Overview(
        job_id=job.job_id,
        type=_type(job),
        timestamp=job.updated_at,
        status=_STATUSES[job.status],
        percent=job.percent,
        overall_percent=job.percent or 0.0,
        stage=job.current_stage,
        stage_index=current,
        total_stages=len(job.stages) or None,
        current_stage=job.current_stage,
        stages=[_stage(stage) for stage in job.stages],
        completed_items=None if job.items is None else job.items.done,
        total_items=None if job.items is None else job.items.total,
        message=job.message,
        details=job.details,
        estimated_remaining=None if remaining is None else remaining.p50,
        error=_why(job),
        total_documents=job.units.total,
        completed=job.units.finished,
        failed=job.units.failed,
        documents=[_document(unit, job.updated_at) for unit in units],
    )


def _type(job: _Job) -> str:
    if job.current_stage is not None:
        return "stage"
    if job.items is not None:
        return "items"
    return "indeterminate" if job.percent is None else "percentage"


def _why(job: _Job) -> str | None:
    if job.status == "canceled":
        return "canceled"
    return None if job.error is None else _text(job.error)


def _text(error: Error) -> str:
    return error.type if error.detail is None else error.detail


def _stage(stage: _Stage) -> OverviewStage:
    status = _OF_STAGES.get(stage.status, stage.status)
    # A page that shows a duration where there is one shows the 0 of a stage that has just begun as a digit.
    return OverviewStage(stage.name, status, stage.percent or 0.0, stage.duration_seconds or None)


def _document(unit: _Unit, now: str | None) -> Document:
    end = unit.finished_at or now
    duration = None
    if unit.started_at is not None and end is not None:
        duration = max(0, parse_rfc3339(end) - parse_rfc3339(unit.started_at)) / 1000
    status = _OF_DOCUMENTS.get(unit.status, unit.status)
    error = None if unit.error is None else _text(unit.error)
    return Document(unit.unit, status, unit.percent, unit.message, duration, error)
