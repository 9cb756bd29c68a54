"""What the frameworks have in common: what is said of a task, and that saying it never harms the task.

Of an attempt that fails and is tried again, ``job.queued`` of the next one is said first, then ``job.failed`` of this
one. So the job is never seen as failed in between, and its history knows how each attempt ended.
"""

import logging
from collections.abc import Callable, Container
from functools import cache, wraps
from typing import Any, Generic, ParamSpec, TypeVar

import streamproc
from streamproc import AsyncJob, Job, JobCanceled, Producer
from streamproc.producer.current import enter, leave

__all__ = ["BlockingTasks", "Tasks", "harmless", "unheard"]

P = ParamSpec("P")
J = TypeVar("J", bound=Job | AsyncJob)

_log = logging.getLogger("streamproc")


def harmless(report: Callable[P, None]) -> Callable[P, None]:
    """The same, but what it raises is logged, and goes nowhere else."""

    @wraps(report)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            report(*args, **kwargs)
        except Exception:  # noqa: BLE001  (what is wrong with reporting isn't the task's)
            _log.exception("the progress of a task can't be reported")

    return run


class Tasks(Generic[J]):
    """Reports on the tasks of a framework.

    Args:
        make_job: of the connection.
        unheard: a job that takes reports, and nobody hears of them.
        kinds: the names of the tasks to report on; None reports on all.
        results: whether to report what tasks return, where JSON can say it.
    """

    def __init__(
        self, make_job: Callable[..., J], unheard: J, *, kinds: Container[str] | None = None, results: bool = True
    ) -> None:
        self._make_job = make_job
        self._unheard = unheard
        self._kinds = kinds
        self._results = results

    def job(self, id: str, kind: str | None, attempt: int | None = None, worker: str | None = None) -> J:  # noqa: A002
        """A task's job; where there can't be one, the one that nobody hears of.

        Args:
            attempt: None is the one that is under way, wherever that is.
        """
        if self._kinds is None or kind in self._kinds:
            try:
                return self._make_job(id, kind=kind, attempt=attempt, worker=worker)
            except (TypeError, ValueError, RuntimeError) as error:
                _log.warning("no progress of task %s: %s", id, error)
        return self._unheard

    @harmless
    def queued(self, job: J) -> None:
        if job is not self._unheard:
            job.queue()

    @harmless
    def started(self, job: J) -> None:
        """It starts here, and is `streamproc.current_job` until `left`."""
        enter(job)
        if job is not self._unheard:
            job.start()

    @harmless
    def left(self, job: J) -> None:
        leave(job)

    @harmless
    def finished(self, job: J, result: Any = None) -> None:
        """It finished. What JSON can't say of the result is left out."""
        if job is self._unheard:
            return
        if self._results and result is not None:
            try:
                job.result(result)
            except (TypeError, ValueError) as error:
                _log.debug("no result of task %s: %s", job.id, error)
        job.finish()

    @harmless
    def failed(self, job: J, error: BaseException | str) -> None:
        """It failed, or stopped because somebody asked it to."""
        if job is self._unheard:
            return
        if isinstance(error, JobCanceled):
            job.cancel(error.reason)
        else:
            job.fail(error)

    @harmless
    def canceled(self, job: J, reason: str | None = None) -> None:
        if job is not self._unheard:
            job.cancel(reason)


class BlockingTasks(Tasks[Job]):
    """Of a framework that runs tasks in threads or processes.

    Args:
        sp: the connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone.
    """

    def __init__(self, sp: Producer | None, *, kinds: Container[str] | None = None, results: bool = True) -> None:
        self._sp = streamproc.connect(required=False) if sp is None else sp
        super().__init__(self._sp.job, unheard(), kinds=kinds, results=results)

    @harmless
    def flush(self) -> None:
        """Before a process ends."""
        self._sp.flush(self._sp.settings.flush_seconds)


@cache
def unheard() -> Job:
    """A job whose connection is closed."""
    with streamproc.connect("redis://127.0.0.1:1", required=False) as sp:
        return sp.job("not-reported")
