"""Progress of RQ's jobs.

::

    queue = Queue(connection=redis)  # of this module, in place of RQ's
    queue.enqueue(import_file, path)

    def import_file(path):
        for row in streamproc.current_job().track(rows_of(path)): ...

    $ rq worker --job-class streamproc.integrations.rq.Job
"""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

import rq
from rq.job import JobStatus

import streamproc
from streamproc import JobCanceled, Producer
from streamproc.integrations.tasks import BlockingTasks, harmless

__all__ = ["Job", "Queue"]

_STARTS: Final = "streamproc_starts"
"""The field of RQ's job that counts how often it was started: RQ itself doesn't number attempts."""
_KILLED: Final = "its process ended unexpectedly"


class Job(rq.job.Job):
    """A job of RQ that is reported on. Within its function, `streamproc.current_job` is its progress.

    Each run is an attempt: retries, repeats, and what is put back from the failed jobs. One that was asked to stop, by
    `JobCanceled`, is *stopped* in RQ, and not tried again. `meta` is left alone.

    Derive from it to set its attributes.
    """

    sp: ClassVar[Producer | None] = None
    """The connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone."""
    tells_results: ClassVar[bool] = True
    """Whether to report what functions return, where JSON can say it."""

    _progress: streamproc.Job | None = None
    _attempt: int | None = None
    _asked_to_stop = False
    _error: str | None = None

    def perform(self) -> Any:
        """Run it."""
        tasks = self._tasks()
        self._count_start()
        progress = self._progress = tasks.job(self.id, self.func_name, self._attempt, self.worker_name)
        tasks.started(progress)
        try:
            result = super().perform()
        except JobCanceled as canceled:
            self._asked_to_stop = True
            self.retries_left = 0
            tasks.failed(progress, canceled)
            raise
        finally:
            tasks.left(progress)
        if not isinstance(result, rq.Retry):
            tasks.finished(progress, result)
        elif self.number_of_retries and self.number_of_retries >= result.max:
            self._error = f"it asked for more than {result.max} retries"
        else:
            self._tell_retry("it asked to be tried again")
        return result

    def retry(self, *args: Any, **options: Any) -> None:
        """Put it back into its queue after it failed."""
        super().retry(*args, **options)
        self._tell_retry(sys.exception() or _KILLED)

    def set_status(self, status: JobStatus, *args: Any, **options: Any) -> None:
        """Whatever ends a job without a result comes through here, in the process that notices it."""
        if status is JobStatus.FAILED and self._asked_to_stop:
            status = JobStatus.STOPPED
        super().set_status(status, *args, **options)
        if status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED):
            self._tell_end(status)

    @harmless
    def tell_queued(self) -> None:
        """Report that it waits for a worker."""
        tasks = self._tasks()
        tasks.queued(tasks.job(self.id, self.func_name, 1))

    @classmethod
    def _tasks(cls) -> BlockingTasks:
        if cls.sp is None:
            Job.sp = streamproc.connect(required=False)
        return BlockingTasks(cls.sp, results=cls.tells_results)

    @harmless
    def _count_start(self) -> None:
        self._attempt = self.connection.hincrby(self.key, _STARTS, 1)

    @harmless
    def _tell_retry(self, error: BaseException | str) -> None:
        tasks = self._tasks()
        attempt = self._attempt or int(self.connection.hget(self.key, _STARTS) or 1)
        tasks.queued(tasks.job(self.id, self.func_name, attempt + 1))
        tasks.failed(self._progress or tasks.job(self.id, self.func_name, attempt), error)

    @harmless
    def _tell_end(self, status: JobStatus) -> None:
        tasks = self._tasks()
        if self._progress is None:
            self._progress = tasks.job(self.id, self.func_name)
        if status is JobStatus.FAILED:
            tasks.failed(self._progress, sys.exception() or self._error or _KILLED)
        else:
            tasks.canceled(self._progress, status.value)


class Queue(rq.Queue):
    """A queue of RQ that reports what is enqueued."""

    job_class = Job

    def enqueue_job(self, job: rq.job.Job, *args: Any, **options: Any) -> rq.job.Job:
        """Enqueue a job. It is told before, so that no worker is faster; a unique one, when it is known to be so."""
        unique = options.get("unique", False)
        if not unique:
            self._tell_queued([job])
        enqueued: rq.job.Job = super().enqueue_job(job, *args, **options)
        if unique:
            self._tell_queued([enqueued])
        return enqueued

    def enqueue_at(self, datetime: datetime, f: Any, *args: Any, **options: Any) -> rq.job.Job:
        """Enqueue a job for later."""
        job: rq.job.Job = super().enqueue_at(datetime, f, *args, **options)
        self._tell_queued([job])
        return job

    def enqueue_many(self, *args: Any, **options: Any) -> list[rq.job.Job]:
        """Enqueue many jobs at once."""
        jobs = super().enqueue_many(*args, **options)
        self._tell_queued(jobs)
        return jobs

    def _tell_queued(self, jobs: Iterable[rq.job.Job]) -> None:
        for job in jobs if self.is_async else ():
            if isinstance(job, Job):
                job.tell_queued()
