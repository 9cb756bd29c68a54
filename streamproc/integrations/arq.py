"""Progress of arq's jobs.

::

    async def import_file(ctx, path):
        async for row in ctx["progress"].track(rows_of(path)): ...

    @install
    class WorkerSettings:
        functions = [import_file]

    redis = report_queued(await create_pool())  # where jobs are enqueued
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import wraps
from typing import Any, Final, TypeVar

from arq.connections import ArqRedis
from arq.cron import CronJob
from arq.jobs import Job as ArqJob
from arq.jobs import JobStatus
from arq.worker import Function, Retry, RetryJob, func

import streamproc
from streamproc import AsyncJob, AsyncProducer, Job
from streamproc.integrations.tasks import Tasks, unheard

__all__ = ["install", "report_queued"]

S = TypeVar("S", bound=type)
Context = dict[Any, Any]

_MAX_TRIES: Final = 5
"""Where the settings don't say it, as in `arq.worker.Worker`."""
_CANCELED: Final = "streamproc_canceled"
_WAITING: Final = (JobStatus.queued, JobStatus.deferred)

_log = logging.getLogger("streamproc")


def install(settings: S, sp: AsyncProducer | None = None, *, results: bool = True) -> S:
    """Report on the jobs of a worker's settings, and give them ``ctx["progress"]``. Returns the settings.

    The connection is opened when the worker starts, and closed when it stops. A job that was asked to stop fails in arq
    with `JobCanceled`, and isn't tried again.

    Args:
        sp: the connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone.
        results: whether to report what jobs return, where JSON can say it.
    """
    reporting = _Reporting(settings, sp or streamproc.connect_async(required=False), results)
    for name in ("functions", "cron_jobs"):
        given = getattr(settings, name, None) or ()
        setattr(settings, name, [reporting.reported(function) for function in given])
    for name in ("on_startup", "on_shutdown", "after_job_end"):
        setattr(settings, name, getattr(reporting, name))
    return settings


def report_queued(redis: ArqRedis, sp: AsyncProducer | None = None) -> ArqRedis:
    """Report the jobs that are enqueued through a pool. Returns it. Once is enough.

    Args:
        sp: the connection; None makes one to STREAMPROC_URL, and doesn't mind a server that is gone.
    """
    if "enqueue_job" not in vars(redis):
        enqueue = redis.enqueue_job
        tasks: Tasks[Job | AsyncJob] = Tasks((sp or streamproc.connect_async(required=False)).job, unheard())

        @wraps(enqueue)
        async def enqueue_job(function: str, *args: Any, **options: Any) -> ArqJob | None:
            job = await enqueue(function, *args, **options)
            if job is not None:
                tasks.queued(tasks.job(job.job_id, function, options.get("_job_try") or 1))
            return job

        vars(redis)["enqueue_job"] = enqueue_job
    return redis


class _Reporting:
    """What arq's functions and hooks come to. The hooks have arq's names, and call those that the settings had."""

    _tasks: Tasks[AsyncJob]

    def __init__(self, settings: type, sp: AsyncProducer, results: bool) -> None:
        self._sp = sp
        self._results = results
        self._closing = AsyncExitStack()
        self._on_startup = getattr(settings, "on_startup", None) or _nothing
        self._on_shutdown = getattr(settings, "on_shutdown", None) or _nothing
        self._after_job_end = getattr(settings, "after_job_end", None) or _nothing
        self._queue_name = getattr(settings, "queue_name", None)
        self._max_tries = getattr(settings, "max_tries", _MAX_TRIES)
        self._retries = (Retry, RetryJob) if getattr(settings, "retry_jobs", True) else ()

    def reported(self, given: Any) -> Function | CronJob:
        """The same function of arq's, with a coroutine that is reported on."""
        function = given if isinstance(given, CronJob) else func(given)
        max_tries = self._max_tries if function.max_tries is None else function.max_tries

        @wraps(function.coroutine)
        async def run(ctx: Context, *args: Any, **options: Any) -> Any:
            tasks, id, attempt = self._tasks, ctx["job_id"], ctx["job_try"]  # noqa: A001
            job = ctx["progress"] = tasks.job(id, function.name, attempt)

            def tried_again(error: BaseException | str) -> None:
                if attempt < max_tries:
                    tasks.queued(tasks.job(id, function.name, attempt + 1))
                tasks.failed(job, error)

            tasks.started(job)
            try:
                result = await function.coroutine(ctx, *args, **options)
            except asyncio.CancelledError:
                ctx[_CANCELED] = tried_again
                raise
            except self._retries as error:
                tried_again(error)
                raise
            except BaseException as error:
                tasks.failed(job, error)
                raise
            finally:
                tasks.left(job)
            tasks.finished(job, result)
            return result

        return replace(function, coroutine=run)

    async def on_startup(self, ctx: Context) -> None:
        await self._closing.enter_async_context(self._sp)
        async with streamproc.connect_async("redis://127.0.0.1:1", required=False) as closed:
            self._tasks = Tasks(self._sp.job, closed.job("not-reported"), results=self._results)
        report_queued(ctx["redis"], self._sp)
        await self._on_startup(ctx)

    async def on_shutdown(self, ctx: Context) -> None:
        await self._on_shutdown(ctx)
        await self._closing.aclose()

    async def after_job_end(self, ctx: Context) -> None:
        if _CANCELED in ctx:
            await self._tell_canceled(ctx)
        await self._after_job_end(ctx)

    async def _tell_canceled(self, ctx: Context) -> None:
        """A coroutine isn't told why it is canceled. Now arq knows: aborted, too slow, or to be run again elsewhere."""
        redis: ArqRedis = ctx["redis"]
        this = ArqJob(ctx["job_id"], redis, self._queue_name or redis.default_queue_name, redis.job_deserializer)
        try:
            status, info = await this.status(), await this.result_info()
        except Exception:  # noqa: BLE001  (what is wrong with reporting isn't the job's)
            _log.exception("the progress of a job can't be reported")
            return
        if status in _WAITING:
            ctx[_CANCELED]("its worker stopped")
        elif info is not None and isinstance(info.result, asyncio.CancelledError):
            self._tasks.canceled(ctx["progress"], "aborted")
        else:
            self._tasks.failed(ctx["progress"], "it was aborted, or took too long" if info is None else info.result)


async def _nothing(ctx: Context) -> None:
    """The hook that the settings don't have."""
