"""A tracker for many documents, weighed by their sizes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from streamproc.trackers import fitting
from streamproc.trackers.reporting import JobReport, Tracker

if TYPE_CHECKING:
    from streamproc.trackers.reporting import Connection

__all__ = ["DocStatus", "DocumentProgress", "DocumentProgressTracker"]


class DocStatus(Enum):
    """How a document stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


_OPEN: Final = (DocStatus.PENDING, DocStatus.PROCESSING)


@dataclass
class DocumentProgress:
    """A document: how far it is, from 0 to 100, and since when, as of `time.time`."""

    name: str
    status: DocStatus = DocStatus.PENDING
    progress: float = 0.0
    message: str = ""
    size_bytes: int = 0
    started_at: float | None = None
    completed_at: float | None = None
    error: str | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end, or until now; None before the start."""
        if not self.started_at:
            return None
        return (self.completed_at or time.time()) - self.started_at


class DocumentProgressTracker(Tracker["_Report"]):
    """The documents of a job, by name. What it is told of a document that it doesn't have, it ignores, but a start.

    With a connection, the job ends when all documents have: failed if any of them failed, as its percent stays what
    it was then. That is for documents that were added before they started; where one turns up as it starts, nobody
    knows which is the last, and `finish`, `fail` or ``with`` ends the job.

    Args:
        job_id: which job.
        on_update: called with `get_status` after each change. What it raises goes up.
        sp: the connection to report to; None keeps it in memory.
        attempt: which attempt at the job this is, from 1; a higher one starts its progress again.

    Raises:
        ValueError, TypeError: with a connection, where the id or the attempt can't be one.
    """

    def __init__(
        self,
        job_id: str,
        on_update: Callable[[dict[str, Any]], object] | None = None,
        *,
        sp: "Connection | None" = None,
        attempt: int | None = None,
    ) -> None:
        self.job_id = job_id
        self.on_update = on_update
        self.documents: dict[str, DocumentProgress] = {}
        self.start_time = time.time()
        self._durations: list[float] = []
        self._report = None if sp is None else _Report(sp, job_id, attempt)

    def add_document(self, name: str, size_bytes: int = 0) -> None:
        """Add a document, to start later; one of the same name is replaced."""
        self.documents[name] = DocumentProgress(name, size_bytes=size_bytes)
        self._changed(name, added=True)

    def start_document(self, name: str) -> None:
        """A document begins; one that wasn't added before is."""
        if name not in self.documents:
            if self._report is not None:
                self._report.ends_itself = False
            self.add_document(name)
        document = self.documents[name]
        document.status = DocStatus.PROCESSING
        document.started_at = time.time()
        document.message = "Processing..."
        self._changed(name)

    def update_document(self, name: str, progress: float, message: str = "") -> None:
        """A document is so far, from 0 to 100. It counts while the document is being processed."""
        if (document := self.documents.get(name)) is not None:
            document.progress = min(100, max(0, progress))
            document.message = message
            self._changed(name)

    def complete_document(self, name: str) -> None:
        """A document is done."""
        if (document := self.documents.get(name)) is not None:
            document.status = DocStatus.COMPLETED
            document.progress = 100
            document.completed_at = time.time()
            document.message = "Complete"
            if document.duration:
                self._durations.append(document.duration)
            self._changed(name)

    def fail_document(self, name: str, error: str) -> None:
        """A document failed; it counts as nothing done."""
        if (document := self.documents.get(name)) is not None:
            document.status = DocStatus.FAILED
            document.completed_at = time.time()
            document.error = error
            document.message = f"Failed: {error}"
            self._changed(name)

    @property
    def total_weight(self) -> float:
        """The size of all documents in bytes, or their number where no sizes are known."""
        return self._total_size() or len(self.documents)

    @property
    def completed_weight(self) -> float:
        """The weight that is done: of a document in work as much as its own percent."""
        by_size = self._total_size() > 0
        completed = 0.0
        for document in list(self.documents.values()):
            weight = document.size_bytes if by_size else 1
            if document.status is DocStatus.COMPLETED:
                completed += weight
            elif document.status is DocStatus.PROCESSING:
                completed += weight * (document.progress / 100)
        return completed

    @property
    def overall_percent(self) -> float:
        """How far the job is, from 0 to 100; 0 where there are no documents."""
        total = self.total_weight
        return 0 if total == 0 else (self.completed_weight / total) * 100

    @property
    def estimated_remaining(self) -> float | None:
        """Seconds until the last is done, if each takes as long as those that are complete; None before the first."""
        if not self._durations:
            return None
        average = sum(self._durations) / len(self._durations)
        left = sum(1 for document in list(self.documents.values()) if document.status in _OPEN)
        for document in list(self.documents.values()):
            if document.status is DocStatus.PROCESSING:
                return average * (left - 1 + (100 - document.progress) / 100)
        return average * left

    def get_status(self) -> dict[str, Any]:
        """The job as JSON can say it: its percent to 1 place, whole seconds remaining, and each document."""
        remaining = self.estimated_remaining
        documents = list(self.documents.values())
        statuses = [document.status for document in documents]
        return {
            "job_id": self.job_id,
            "overall_percent": round(self.overall_percent, 1),
            "estimated_remaining": round(remaining, 0) if remaining else None,
            "total_documents": len(documents),
            "completed": statuses.count(DocStatus.COMPLETED),
            "failed": statuses.count(DocStatus.FAILED),
            "documents": [
                {
                    "name": document.name,
                    "status": document.status.value,
                    "progress": document.progress,
                    "message": document.message,
                    "duration": document.duration,
                    "error": document.error,
                }
                for document in documents
            ],
        }

    def _total_size(self) -> float:
        return max(0, sum(document.size_bytes for document in list(self.documents.values())))

    def _changed(self, name: str, *, added: bool = False) -> None:
        if self._report is not None:
            self._report.tell(self.documents, name, added=added)
        if self.on_update is not None:
            self.on_update(self.get_status())


_State = tuple[DocStatus, float, str | None]
"""What there is to say of a document: its status, its percent and message while it is in work, or why it failed."""


@dataclass
class _Told:
    """What was said of a document: the unit's attempt and weight, and the state."""

    attempt: int
    weight: float | None
    state: _State = (DocStatus.PENDING, 0.0, None)


class _Report(JobReport):
    """What is said of the documents, each as a unit. One that goes on after its end is the unit's next attempt."""

    def __init__(self, sp: "Connection", job_id: str, attempt: int | None) -> None:
        super().__init__(sp, job_id, attempt)
        self.ends_itself = True
        self._told: dict[str, _Told] = {}
        self._open: set[str] = set()

    def tell(self, documents: dict[str, DocumentProgress], name: str, *, added: bool) -> None:
        document = documents[name]
        told = self._told.get(name)
        if told is not None and not added and told.state == _state(document):
            return
        # No event takes a weight back, but a new attempt at the job does.
        weightless = told is not None and told.weight is not None and _weight(document) is None
        if self.ended:
            self.ends_itself = False
        if self.begin(anew=weightless):
            self._told.clear()
            for known in list(documents.values()):
                self._say(known)
        else:
            self._say(document, added=added)
        if self.ends_itself and not self.inside and not self._open:
            self.close()

    def _say(self, document: DocumentProgress, *, added: bool = False) -> None:
        told = self._told.get(document.name)
        begins = told is None or added or told.state[0] not in _OPEN
        if told is None or begins:
            told = _Told(1 if told is None else told.attempt + 1, _weight(document))
            self._told[document.name] = told
        attempt = told.attempt if told.attempt > 1 else None
        unit = self._job.unit(fitting.name(document.name), told.weight, attempt=attempt)
        if begins:
            unit.announce()
        before, told.state = told.state[0], _state(document)
        status, percent, said = told.state
        match status:
            case DocStatus.PROCESSING:
                if before is not status:
                    unit.start()
                if percent or before is status:
                    unit.percent(percent, said)
            case DocStatus.COMPLETED:
                unit.finish()
            case DocStatus.FAILED:
                unit.fail(said or "")
        if status in _OPEN:
            self._open.add(document.name)
        else:
            self._open.discard(document.name)

    def close(self) -> None:
        """Fail the job where a document failed, or else finish it."""
        failed = [(name, told.state[2]) for name, told in self._told.items() if told.state[0] is DocStatus.FAILED]
        if not failed:
            return self.finish()
        name, error = failed[0]
        return self.fail(f"{len(failed)} of {len(self._told)} documents failed, the first of them {name}: {error}")


def _state(document: DocumentProgress) -> _State:
    match document.status:
        case DocStatus.PROCESSING:
            return document.status, fitting.finite(document.progress) or 0.0, fitting.text(document.message)
        case DocStatus.FAILED:
            return document.status, 0.0, str(document.error)
        case _:
            return document.status, 0.0, None


def _weight(document: DocumentProgress) -> float | None:
    return fitting.amount(document.size_bytes) or None
