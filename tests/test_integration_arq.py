"""arq's jobs, run by its own worker: what is said of them, and that they don't mind.

arq takes no redis-py above 5, so it has an environment of its own; `.ci/run` makes it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import streamproc
from streamproc import AsyncJob, AsyncProducer, JobCanceled
from tests.support.producing import wait_until
from tests.support.servers import Server, free_port
from tests.support.tasks import TaskLog

pytest.importorskip("arq", reason="arq can't be installed beside redis-py 6 or newer")

from arq import Retry, cron
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job as ArqJob
from arq.worker import Worker, create_worker, func

from streamproc.integrations.arq import install, report_queued

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(r"ignore:Call to deprecated close\. \(Use aclose:DeprecationWarning"),  # arq does
]


@pytest.fixture
async def sp(server_url: str, namespace: str) -> AsyncIterator[AsyncProducer]:
    async with streamproc.connect_async(server_url, namespace=namespace, min_interval=0) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[TaskLog]:
    reader = TaskLog(server_url, namespace)
    yield reader
    reader.client.close()


class Project:
    """A project's pool, and a worker of the same queue."""

    def __init__(self, redis: ArqRedis, port: int, url: str, namespace: str) -> None:
        self.redis = redis
        self.to = {"url": url, "namespace": namespace}
        self.how = {
            "redis_settings": RedisSettings(port=port, database=8),
            "queue_name": redis.default_queue_name,
            "poll_delay": 0.01,
            "handle_signals": False,
            "allow_abort_jobs": True,
        }

    async def enqueue(self, name: str, *args: Any, **options: Any) -> str:
        """Enqueue a job. Returns its id."""
        job = await self.redis.enqueue_job(name, *args, **options)
        assert job is not None
        return job.job_id

    def worker(self, *functions: Any, results: bool = True, burst: bool = True, **settings: Any) -> Worker:
        """A worker that ends with the queue."""
        sp = streamproc.connect_async(**self.to, min_interval=0, required=False)
        made = type("WorkerSettings", (), {"functions": functions} | settings)
        return create_worker(install(made, sp, results=results), burst=burst, **self.how)

    async def run(self, *functions: Any, **settings: Any) -> None:
        """Work on what is in the queue, up to its end."""
        worker = self.worker(*functions, **settings)
        await worker.async_run()
        await worker.close()

    async def outcome(self, job: str) -> Any:
        """What arq keeps of a job: its result, or its error."""
        info = await ArqJob(job, self.redis, self.redis.default_queue_name).result_info()
        return None if info is None else info.result


@pytest.fixture
async def redis(server: Server, sp: AsyncProducer) -> AsyncIterator[ArqRedis]:
    settings = RedisSettings(port=server.port, database=8)
    pool = await create_pool(settings, default_queue_name=f"q{secrets.token_hex(4)}")
    yield report_queued(pool, sp)
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
def project(redis: ArqRedis, server: Server, namespace: str) -> Project:
    return Project(redis, server.port, server.url, namespace)


async def imports(ctx: dict[str, Any], rows: int) -> int:
    job: AsyncJob = ctx["progress"]
    assert job is streamproc.current_job()
    job.items(rows - 1, rows, "nearly")
    await job.checkpoint()
    return rows


async def fails(ctx: dict[str, Any]) -> None:
    raise ValueError("disk full")


async def never_ends(ctx: dict[str, Any]) -> None:
    ctx["progress"].percent(50)
    await asyncio.sleep(3600)


async def test_a_job_is_queued_starts_progresses_and_finishes(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("imports", 3)
    await project.run(imports)
    assert log.told(job) == ["queued 1", "started 1", "progressed 1", "finished 1"]
    snapshot = log.snapshot(job)
    assert (snapshot["kind"], snapshot["status"], snapshot["message"]) == ("imports", "finished", "nearly")
    assert (snapshot["result"], snapshot["items"]) == (3, {"done": 2, "total": 3})
    assert await project.outcome(job) == 3


async def test_a_job_that_raises_has_failed_and_says_why(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("fails")
    await project.run(fails)
    assert log.told(job) == ["queued 1", "started 1", "failed 1"]
    assert log.snapshot(job)["error"] == {"type": "ValueError", "detail": "disk full"}


async def test_a_job_that_is_retried_starts_a_new_attempt(project: Project, log: TaskLog) -> None:
    async def recovers(ctx: dict[str, Any]) -> str:
        ctx["progress"].percent(50)
        if ctx["job_try"] == 1:
            raise Retry(defer=0.01)
        return "at last"

    job = await project.enqueue("recovers")
    await project.run(func(recovers, name="recovers"))
    assert [said for said in log.told(job) if not said.startswith("progressed")] == [
        "queued 1",
        "started 1",
        "queued 2",
        "failed 1",
        "started 2",
        "finished 2",
    ]
    assert [attempt[:2] for attempt in log.attempts(job)] == [(1, "failed"), (2, "finished")]
    assert (log.snapshot(job)["result"], log.snapshot(job)["late"]) == ("at last", 0)


@pytest.mark.parametrize(("where", "settings"), [("function", {}), ("settings", {"max_tries": 2})])
async def test_a_job_that_is_retried_too_often_has_failed(
    project: Project, log: TaskLog, where: str, settings: dict[str, Any]
) -> None:
    async def retries(ctx: dict[str, Any]) -> None:
        raise Retry

    job = await project.enqueue("retries")
    await project.run(func(retries, name="retries", max_tries=2 if where == "function" else None), **settings)
    assert log.told(job) == ["queued 1", "started 1", "queued 2", "failed 1", "started 2", "failed 2"]
    assert isinstance(await project.outcome(job), Exception)


async def test_where_nothing_is_retried_a_retry_is_a_failure(project: Project, log: TaskLog) -> None:
    async def retries(ctx: dict[str, Any]) -> None:
        raise Retry

    job = await project.enqueue("retries")
    await project.run(func(retries, name="retries"), retry_jobs=False)
    assert log.told(job) == ["queued 1", "started 1", "failed 1"]


async def test_a_job_that_was_asked_to_stop_is_canceled_and_not_run_again(project: Project, log: TaskLog) -> None:
    async def stops(ctx: dict[str, Any]) -> None:
        raise JobCanceled("enough")

    job = await project.enqueue("stops")
    await project.run(func(stops, name="stops"))
    assert log.told(job) == ["queued 1", "started 1", "canceled 1"]
    assert log.snapshot(job)["message"] == "enough"
    assert isinstance(await project.outcome(job), JobCanceled)


async def test_a_job_stops_at_a_checkpoint_when_somebody_asks_for_it(project: Project, log: TaskLog) -> None:
    async def stops_when_asked(ctx: dict[str, Any]) -> None:
        while True:
            await ctx["progress"].checkpoint()
            await asyncio.sleep(0.01)

    job = await project.enqueue("stops_when_asked")
    log.serve(job, {"requested": "cancel"})
    await project.run(func(stops_when_asked, name="stops_when_asked"))
    assert log.told(job) == ["queued 1", "started 1", "canceled 1"]


async def test_a_job_that_takes_too_long_has_failed(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("never_ends")
    await project.run(never_ends, job_timeout=0.05)
    assert log.told(job) == ["queued 1", "started 1", "progressed 1", "failed 1"]
    assert log.snapshot(job)["error"]["type"] == "TimeoutError"


async def test_a_job_that_is_aborted_is_canceled(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("never_ends")
    worker = project.worker(never_ends)
    run = asyncio.create_task(worker.async_run())
    await asyncio.to_thread(wait_until, lambda: "progressed 1" in log.told(job))
    assert await ArqJob(job, project.redis, project.redis.default_queue_name).abort(timeout=20, poll_delay=0.01)
    await run
    await worker.close()
    assert log.told(job)[2:] == ["progressed 1", "canceled 1"]
    assert log.snapshot(job)["message"] == "aborted"


async def test_a_job_whose_worker_stops_waits_for_another(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("never_ends")
    worker = project.worker(never_ends, burst=False)
    run = asyncio.create_task(worker.async_run())
    await asyncio.to_thread(wait_until, lambda: "progressed 1" in log.told(job))
    await worker.close()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert log.told(job)[2:] == ["progressed 1", "queued 2", "failed 1"]
    assert log.snapshot(job)["status"] == "queued"
    await project.run(never_ends, job_timeout=0.05)
    assert log.told(job)[-3:] == ["started 2", "progressed 2", "failed 2"]


async def test_a_canceled_job_of_which_arq_keeps_nothing_has_failed(project: Project, log: TaskLog) -> None:
    job = await project.enqueue("never_ends")
    await project.run(never_ends, job_timeout=0.05, keep_result=0)
    assert log.snapshot(job)["error"]["detail"] == "it was aborted, or took too long"


async def test_a_job_is_queued_once(project: Project, sp: AsyncProducer, log: TaskLog) -> None:
    assert report_queued(project.redis, sp) is project.redis
    job = await project.enqueue("imports", 3, _job_id=f"once-{secrets.token_hex(4)}")
    assert await project.redis.enqueue_job("imports", 3, _job_id=job) is None
    await sp.flush()
    assert log.told(job) == ["queued 1"]


async def enqueues(ctx: dict[str, Any]) -> str:
    job = await ctx["redis"].enqueue_job("imports", 3)
    return str(job.job_id)


async def test_what_cron_and_jobs_enqueue_is_reported_on(project: Project, log: TaskLog) -> None:
    jobs = []

    async def note(ctx: dict[str, Any]) -> None:
        jobs.append(ctx["progress"].id)

    await project.run(imports, cron_jobs=[cron(enqueues, run_at_startup=True)], after_job_end=note, max_burst_jobs=1)
    await project.run(imports, after_job_end=note)
    first, second = jobs
    assert log.told(first) == ["queued 1", "started 1", "finished 1"]
    assert (log.snapshot(first)["kind"], log.snapshot(first)["result"]) == ("cron:enqueues", second)
    assert log.told(second) == ["queued 1", "started 1", "progressed 1", "finished 1"]


async def test_the_hooks_that_the_settings_had_are_called(project: Project) -> None:
    calls = []

    def hook(name: str) -> Any:
        async def called(ctx: dict[str, Any]) -> None:
            calls.append(name)

        return called

    await project.enqueue("imports", 3)
    await project.run(imports, **{name: hook(name) for name in ("on_startup", "after_job_end", "on_shutdown")})
    assert calls == ["on_startup", "after_job_end", "on_shutdown"]


async def test_results_are_told_where_json_can_say_them_and_can_be_kept_out(project: Project, log: TaskLog) -> None:
    async def odd(ctx: dict[str, Any]) -> complex:
        return 1j

    first = await project.enqueue("odd")
    await project.run(func(odd, name="odd"))
    second = await project.enqueue("imports", 3)
    await project.run(imports, results=False)
    for job in (first, second):
        assert (log.snapshot(job)["status"], log.snapshot(job)["result"]) == ("finished", None)


async def test_a_job_whose_id_no_job_can_have_runs_unreported(project: Project) -> None:
    job = await project.enqueue("imports", 3, _job_id="no spaces")
    await project.run(imports)
    assert await project.outcome(job) == 3


async def test_what_is_wrong_with_reporting_stays_out_of_the_job(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    for name in ("queue", "start", "result", "finish"):
        monkeypatch.setattr(AsyncJob, name, broken)
    job = await project.enqueue("imports", 3)
    await project.run(imports)
    assert await project.outcome(job) == 3


async def test_jobs_run_where_no_server_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    close = AsyncProducer.close
    monkeypatch.setattr(AsyncProducer, "close", lambda sp: close(sp, timeout=0))  # it would wait for the server
    project.to = {"url": f"redis://127.0.0.1:{free_port()}"}
    job = await project.enqueue("imports", 3)
    await project.run(imports)
    assert await project.outcome(job) == 3
