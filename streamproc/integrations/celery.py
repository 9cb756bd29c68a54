"""Progress of Celery tasks.

::

    app = Celery("shop", broker=…)
    install(app)

    @app.task(bind=True)
    def import_file(self, path):
        for row in self.progress.track(rows_of(path)): ...
"""

from collections import deque
from collections.abc import Container
from typing import Any, Final

import celery
from celery import signals, states
from celery.app.task import Context, get_actual_ignore_result
from celery.exceptions import Ignore, Retry

import streamproc
from streamproc import Job, JobCanceled, Producer
from streamproc.integrations.tasks import BlockingTasks, unheard

__all__ = ["ReportingTask", "install"]

_SIGNALS: Final = (
    "before_task_publish",
    "task_prerun",
    "task_success",
    "task_retry",
    "task_failure",
    "task_postrun",
    "task_revoked",
    "worker_process_shutdown",
)


def install(
    app: celery.Celery, sp: Producer | None = None, *, kinds: Container[str] | None = None, results: bool = True
) -> None:
    """Report on an app's tasks, and give them `progress`. Once a process, right after the app is made.

    A task with a base class of its own is reported on too; that it has `progress`, derive that class from
    `ReportingTask`.

    Args:
        sp: the connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone.
        kinds: the names of the tasks to report on; None reports on all but Celery's own.
        results: whether to report what tasks return, where JSON can say it.

    Raises:
        RuntimeError: the app's tasks have been made already, without `progress`.
    """
    if app.finalized:
        raise RuntimeError("install(app): the app's tasks have been made already; call it right after Celery(…)")
    never_again = (JobCanceled, *getattr(app.Task, "dont_autoretry_for", ()))
    app.Task = type("Task", (ReportingTask, app.Task), {"abstract": True, "dont_autoretry_for": never_again})
    reporting = _Reporting(app, BlockingTasks(sp, kinds=kinds, results=results))
    for name in _SIGNALS:
        getattr(signals, name).connect(getattr(reporting, name), weak=False)


class ReportingTask(celery.Task):
    """A task that knows its progress. `install` makes it the base of the app's tasks."""

    abstract = True
    dont_autoretry_for = (JobCanceled,)

    @property
    def progress(self) -> Job:
        """The job of this run. Called as a plain function: the job around it, or else one that nobody hears of."""
        job = _job_of(self.request) or streamproc.current_job()
        return job if isinstance(job, Job) else unheard()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run. A task that stops because somebody asked it to is revoked in Celery: not failed, and not tried again."""
        try:
            return super().__call__(*args, **kwargs)
        except JobCanceled as canceled:
            if self.request.called_directly:
                raise
            if not self.request.is_eager:
                stored = not get_actual_ignore_result(self, self.request)
                self.backend.mark_as_revoked(self.request.id, str(canceled), self.request, store_result=stored)
            raise Ignore(str(canceled)) from canceled

    def on_replace(self, sig: Any) -> Any:
        """The task that takes its place has the same id, and goes on with the job."""
        self.request.streamproc_goes_on = True
        return super().on_replace(sig)


class _Reporting:
    """What Celery's signals come to. Their names are those of the methods."""

    def __init__(self, app: celery.Celery, tasks: BlockingTasks) -> None:
        self._app = app
        self._tasks = tasks
        self._lost: deque[str] = deque(maxlen=100)  # Celery says twice that a time limit was exceeded

    # Where it is sent --------------------------------------------------------------------------------------------

    def before_task_publish(self, sender: str, body: Any, headers: dict[str, Any], **_: Any) -> None:
        """Before, so that no worker is faster; and a retry is queued before its signal says that it failed."""
        if not _of_celery(sender):
            message = headers if "id" in headers else body  # where it is in the older message protocol
            self._tasks.queued(self._tasks.job(message["id"], sender, message["retries"] + 1))

    # Where it runs -----------------------------------------------------------------------------------------------

    def task_prerun(self, task_id: str, task: celery.Task, **_: Any) -> None:
        if self._reports_on(task):
            request = task.request
            request.streamproc = self._tasks.job(task_id, task.name, request.retries + 1, request.hostname)
            self._tasks.started(request.streamproc)

    def task_success(self, sender: celery.Task, result: Any, **_: Any) -> None:
        job = _job_of(sender.request)
        if job is not None:
            self._tasks.finished(job, result)

    def task_retry(self, sender: celery.Task, reason: Retry, **_: Any) -> None:
        job = _job_of(sender.request)
        if job is not None:
            self._tasks.failed(job, reason.exc or str(reason))

    def task_failure(self, sender: celery.Task, task_id: str, exception: BaseException, **_: Any) -> None:
        """In the pool's process; or in the worker's, where the pool's was killed, or the task rejected."""
        if self._reports_on(sender):
            job = _job_of(sender.request)
            if job is None and task_id not in self._lost:
                self._lost.append(task_id)
                job = self._tasks.job(task_id, sender.name)
            if job is not None:
                self._tasks.failed(job, exception)

    def task_postrun(self, task: celery.Task, retval: Any, state: str | None, **_: Any) -> None:
        request = task.request
        job = _job_of(request)
        if job is None:
            return
        if state == states.IGNORED and isinstance(task, ReportingTask) and not request.get("streamproc_goes_on"):
            cause = retval.__cause__
            self._tasks.canceled(job, cause.reason if isinstance(cause, JobCanceled) else str(retval))
        self._tasks.left(job)

    # In the worker's own process ---------------------------------------------------------------------------------

    def task_revoked(self, sender: celery.Task, request: Context, terminated: bool, expired: bool, **_: Any) -> None:
        if self._reports_on(sender):
            reason = "expired" if expired else "terminated" if terminated else "revoked"
            self._tasks.canceled(self._tasks.job(request.id, sender.name, request.retries + 1), reason)

    def worker_process_shutdown(self, **_: Any) -> None:
        """A process of the pool ends without Python's own clean-up."""
        self._tasks.flush()

    def _reports_on(self, task: celery.Task) -> bool:
        return task.app is self._app and not _of_celery(task.name)


def _of_celery(name: str) -> bool:
    """Whether it is one of Celery's own tasks, the machinery of chords and groups."""
    return name.startswith("celery.")


def _job_of(request: Context) -> Job | None:
    """The job that `task_prerun` put there."""
    job: Job | None = request.get("streamproc")
    return job
