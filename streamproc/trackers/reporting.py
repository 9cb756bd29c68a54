"""How a tracker's job begins and ends in the log.

Code written for the lessons' trackers never says that a job is over, and yet whoever watches it must learn. So a
tracker ends its job when by its own numbers all is done (each says when that is), and there are `Tracker.finish`,
`fail`, `cancel` and ``with`` for whoever wants to say it. Inside ``with`` nothing else ends the job.

Work may go on after such an end: a stage is tried again, another document turns up. The job is begun anew then, as
its next attempt, and the tracker says again how far everything is; so the job's percent stays the tracker's own.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from msgspec import UNSET

from streamproc.errors import JobCanceled
from streamproc.trackers import fitting

if TYPE_CHECKING:
    from streamproc.producer.asynchronous import AsyncProducer
    from streamproc.producer.client import Producer
    from streamproc.producer.job import AnyJob

    Connection = Producer | AsyncProducer

__all__ = ["JobReport", "Tracker"]

R = TypeVar("R", bound="JobReport")

_log = logging.getLogger("streamproc")


class JobReport:
    """A tracker's job: what is said of it, and whether it has begun and ended.

    Args:
        attempt: which attempt at the job this is; None for a job that is tried once.

    Raises:
        ValueError, TypeError: the job's id or attempt can't be one.
    """

    def __init__(self, sp: "Connection", job_id: str, attempt: int | None) -> None:
        self._sp = sp
        self._job_id = job_id
        self._attempt = attempt
        self._job: AnyJob = sp.job(job_id, attempt=attempt)
        self.begun = False
        self.ended = False
        self.inside = False
        """Whether ``with`` has been entered, which ends the job then."""

    def begin(self, stages: Mapping[str, float] | None = None, *, anew: bool = False) -> bool:
        """Start the job, or begin its next attempt where it has ended, or must begin `anew`.

        Args:
            stages: weights by name, where they are news.

        Returns:
            Whether it is another attempt, of which nothing has been said.
        """
        anew = anew or self.ended
        if anew:
            self.ended = False
            self._attempt = (self._attempt or 1) + 1
        if anew or stages is not None:
            self._job = self._make_job(stages)
        self._job.start()
        self.begun = True
        return anew

    def _make_job(self, stages: Mapping[str, float] | None) -> "AnyJob":
        try:
            return self._sp.job(self._job_id, stages=stages, attempt=self._attempt)
        except ValueError as error:
            _log.warning("job %s: its stages can't be declared, and show as they start: %s", self._job_id, error)
            return self._sp.job(self._job_id, attempt=self._attempt)
        except RuntimeError:
            return self._job  # the connection is closed, and says so itself

    def finish(self, result: Any = UNSET, message: str | None = None) -> None:
        """Report that the job is done, unless it ended before."""
        if not self.ended:
            self.begin()
            self._job.finish(result, message=message)
            self.ended = True

    def fail(self, error: BaseException | str) -> None:
        """Report that the job failed, unless it ended before."""
        if not self.ended:
            self.begin()
            self._job.fail(error)
            self.ended = True

    def cancel(self, reason: str | None) -> None:
        """Report that the job was canceled, unless it ended before."""
        if not self.ended:
            self.begin()
            self._job.cancel(reason)
            self.ended = True

    def close(self) -> None:
        """End the job as its parts ended."""
        self.finish()


class Tracker(Generic[R]):
    """What the trackers have in common: how to end the job. Without a connection there is nothing to end."""

    _report: R | None = None

    def finish(self, result: Any = UNSET, *, message: str | None = None) -> None:
        """Report that the job is finished, with its result, unless it ended before. Its bar is at 100 then.

        Raises:
            ValueError, TypeError: JSON can't say the result.
        """
        if self._report is not None:
            self._report.finish(result, fitting.text(message))

    def fail(self, error: BaseException | str) -> None:
        """Report that the job failed, and why, unless it ended before."""
        if self._report is not None:
            self._report.fail(error)

    def cancel(self, reason: str | None = None) -> None:
        """Report that the job was canceled, unless it ended before."""
        if self._report is not None:
            self._report.cancel(fitting.text(reason))

    def __enter__(self) -> Self:
        if self._report is not None:
            self._report.begin()
            self._report.inside = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        report = self._report
        if report is None:
            return
        report.inside = False
        if error is None:
            report.close()
        elif isinstance(error, JobCanceled):
            report.cancel(error.reason)
        else:
            report.fail(error)
