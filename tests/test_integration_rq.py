"""RQ's jobs, run by its workers, in this process and in forked ones: what is said of them, and that they don't mind."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

import streamproc
from streamproc import Producer
from tests.support.producing import wait_until
from tests.support.servers import Server, free_port
from tests.support.tasks import TaskLog, framework

framework("rq")

import rq
from rq.command import send_stop_job_command
from rq.exceptions import DuplicateJobError

from streamproc.integrations.rq import Job, Queue
from tests.support import rq_app

ROOT = Path(__file__).parent.parent
NAMESPACE = f"t{secrets.token_hex(4)}"


@pytest.fixture
def sp(server_url: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=NAMESPACE) as connection:
        yield connection


@pytest.fixture
def log(server_url: str) -> Iterator[TaskLog]:
    reader = TaskLog(server_url, NAMESPACE)
    yield reader
    reader.client.close()


@pytest.fixture
def broker(server: Server) -> Iterator[Redis]:
    with Redis(port=server.port, db=7) as client:
        yield client


class Project:
    """A project's queue, and a worker in this process.

    Args:
        attributes: of its job class.
    """

    def __init__(self, broker: Redis, **attributes: Any) -> None:
        self.broker = broker
        self.job_class = type("ProjectJob", (Job,), attributes)
        self.queue = Queue(f"q{secrets.token_hex(4)}", connection=broker, job_class=self.job_class)

    def enqueue(self, function: Any, *args: Any, **options: Any) -> str:
        """Enqueue a call. Returns the job's id."""
        return self.queue.enqueue(function, *args, **options).id

    def work(self) -> None:
        """Work on what is in the queue, up to its end."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        rq.SimpleWorker([self.queue], connection=self.broker, job_class=self.job_class).work(burst=True)
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def run(self, function: Any, *args: Any, **options: Any) -> str:
        job = self.enqueue(function, *args, **options)
        self.work()
        return job

    def fetch(self, job: str) -> rq.job.Job:
        return self.job_class.fetch(job, connection=self.broker)

    def state(self, job: str) -> str:
        """What RQ says of a job."""
        return self.fetch(job).get_status().value


@pytest.fixture
def project(broker: Redis, sp: Producer) -> Project:
    return Project(broker, sp=sp)


# In this process ---------------------------------------------------------------------------------------------------


def test_a_job_is_queued_starts_progresses_and_finishes(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.imports, 3, meta={"user": "ann"})
    assert log.told(job) == ["queued 1", "started 1", "progressed 1", "finished 1"]
    snapshot = log.snapshot(job)
    assert (snapshot["kind"], snapshot["status"]) == ("tests.support.rq_app.imports", "finished")
    assert (snapshot["message"], snapshot["items"]) == ("nearly", {"done": 2, "total": 3})
    assert (snapshot["result"], snapshot["worker"]) == (3, project.fetch(job).worker_name)
    assert project.fetch(job).get_meta() == {"user": "ann", "seen": True}
    assert streamproc.current_job() is None


def test_a_coroutine_knows_its_job(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.waits)
    assert log.told(job) == ["queued 1", "started 1", "progressed 1", "finished 1"]


def test_a_job_that_raises_has_failed_and_says_why(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.fails)
    assert log.told(job) == ["queued 1", "started 1", "failed 1"]
    assert log.snapshot(job)["error"] == {"type": "ValueError", "detail": "disk full"}
    assert project.state(job) == "failed"
    assert streamproc.current_job() is None


def test_a_job_that_is_retried_starts_a_new_attempt(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.fails_at_first, retry=rq.Retry(max=3))
    assert [said for said in log.told(job) if not said.startswith("progressed")] == [
        "queued 1",
        "started 1",
        "queued 2",
        "failed 1",
        "started 2",
        "finished 2",
    ]
    assert log.attempts(job) == [(1, "failed", "disk full"), (2, "finished", None)]
    snapshot = log.snapshot(job)
    assert (snapshot["status"], snapshot["result"], snapshot["late"]) == ("finished", "at last", 0)


def test_a_retry_for_later_is_queued_at_once(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.fails_at_first, retry=rq.Retry(max=3, interval=3600))
    assert log.told(job)[-2:] == ["queued 2", "failed 1"]
    assert (log.snapshot(job)["status"], project.state(job)) == ("queued", "scheduled")


def test_a_job_that_asks_to_be_tried_again_starts_a_new_attempt(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.asks_for_another_try, 1)
    assert log.attempts(job) == [(1, "failed", "it asked to be tried again"), (2, "finished", None)]


def test_a_job_that_asks_too_often_has_failed(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.asks_for_another_try, 9)
    assert log.attempts(job)[1:] == [(2, "failed", "it asked for more than 1 retries")]
    assert (log.snapshot(job)["status"], project.state(job)) == ("failed", "failed")


def test_a_failed_job_that_is_put_back_starts_a_new_attempt(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.fails)
    project.fetch(job).requeue()
    project.work()
    assert log.attempts(job) == [(1, "failed", "disk full"), (2, "failed", "disk full")]


def test_each_repeat_is_a_new_attempt(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.imports, 3, repeat=rq.Repeat(times=1))
    assert log.attempts(job) == [(1, "finished", None), (2, "finished", None)]


def test_a_job_that_was_asked_to_stop_is_stopped_and_not_retried(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.stops, retry=rq.Retry(max=3))
    assert log.told(job) == ["queued 1", "started 1", "canceled 1"]
    assert (log.snapshot(job)["message"], project.state(job)) == ("enough", "stopped")
    assert project.queue.failed_job_registry.get_job_ids() == [job]


def test_a_job_that_takes_too_long_has_failed(project: Project, log: TaskLog) -> None:
    job = project.run(rq_app.never_ends, job_timeout=1)
    assert log.snapshot(job)["error"]["type"] == "JobTimeoutException"


def test_a_job_that_is_canceled_before_it_starts_is_canceled(project: Project, log: TaskLog) -> None:
    job = project.enqueue(rq_app.imports, 3)
    project.fetch(job).cancel()
    project.work()
    assert log.told(job) == ["queued 1", "canceled -"]
    assert (log.snapshot(job)["status"], project.state(job)) == ("canceled", "canceled")


def test_jobs_are_queued_once_however_they_are_enqueued(project: Project, sp: Producer, log: TaskLog) -> None:
    queue = project.queue
    first = queue.enqueue(rq_app.imports, 3)
    jobs = [
        first,
        queue.enqueue(rq_app.imports, 3, depends_on=first),
        queue.enqueue(rq_app.imports, 3, job_id=secrets.token_hex(8), unique=True),
        queue.enqueue_in(timedelta(hours=1), rq_app.imports, 3),
        *queue.enqueue_many([Queue.prepare_data(rq_app.imports, (3,)), Queue.prepare_data(rq_app.imports, (3,))]),
    ]
    with pytest.raises(DuplicateJobError):
        queue.enqueue(rq_app.imports, 3, job_id=jobs[2].id, unique=True)
    sp.flush()
    assert [log.told(job.id) for job in jobs] == [["queued 1"]] * 6
    project.work()
    assert [log.told(job.id)[-1] for job in jobs] == [
        "finished 1",
        "finished 1",
        "finished 1",
        "queued 1",
        "finished 1",
        "finished 1",
    ]
    assert {log.told(job.id).count("queued 1") for job in jobs} == {1}


def test_a_queue_that_runs_jobs_at_once_is_reported_on_too(broker: Redis, sp: Producer, log: TaskLog) -> None:
    job_class = type("ProjectJob", (Job,), {"sp": sp})
    queue = Queue(f"q{secrets.token_hex(4)}", connection=broker, job_class=job_class, is_async=False)
    done, failed = queue.enqueue(rq_app.imports, 3), queue.enqueue(rq_app.fails)
    assert log.told(done.id) == ["started 1", "progressed 1", "finished 1"]
    assert log.told(failed.id) == ["started 1", "failed 1"]


def test_results_are_told_where_json_can_say_them_and_can_be_kept_out(
    broker: Redis, project: Project, sp: Producer, log: TaskLog
) -> None:
    odd = project.run(rq_app.odd)
    secret = Project(broker, sp=sp, tells_results=False).run(rq_app.imports, 3)
    for job in (odd, secret):
        assert (log.snapshot(job)["status"], log.snapshot(job)["result"]) == ("finished", None)


def test_what_is_wrong_with_reporting_stays_out_of_the_job(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    for name in ("queue", "start", "result", "finish"):
        monkeypatch.setattr(streamproc.Job, name, broken)
    monkeypatch.setattr(project.broker, "hincrby", broken)
    assert project.state(project.run(rq_app.imports, 3)) == "finished"


def test_a_job_runs_unreported_when_the_connection_is_closed(project: Project, sp: Producer) -> None:
    sp.close()
    assert project.state(project.run(rq_app.waits)) == "finished"
    assert streamproc.current_job() is None


def test_jobs_run_where_no_server_is(broker: Redis) -> None:
    nobody = streamproc.connect(f"redis://127.0.0.1:{free_port()}", required=False)
    project = Project(broker, sp=nobody)
    states = [project.state(project.run(function)) for function in (rq_app.fails_at_first, rq_app.waits, rq_app.stops)]
    nobody.close(timeout=0)
    assert states == ["failed", "finished", "stopped"]


def test_without_a_connection_of_its_own_it_goes_where_the_variable_says(
    broker: Redis, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMPROC_URL", server_url)
    monkeypatch.setattr(Job, "sp", None)
    job = Project(broker).run(rq_app.imports, 3)
    log = TaskLog(server_url, "sp")
    assert log.told(job) == ["queued 1", "started 1", "progressed 1", "finished 1"]
    log.client.close()
    assert Job.sp is not None
    Job.sp.close()


# By a worker that forks --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as RQ's own command starts it."""
    command = [sys.executable, "-m", "rq.cli", "worker", "forked", f"--url=redis://127.0.0.1:{server.port}/7"]
    command += ["--job-class=tests.support.rq_app.ShopJob", "--name=forked"]
    variables = {"STREAMPROC_URL": server.url, "NAMESPACE": NAMESPACE, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables)
    yield process
    process.terminate()
    process.wait(30)


@pytest.fixture
def forked(broker: Redis, sp: Producer, worker: subprocess.Popen[bytes]) -> Project:
    project = Project(broker, sp=sp)
    project.queue = Queue("forked", connection=broker, job_class=project.job_class)
    return project


def ended(log: TaskLog, job: str, status: str) -> dict[str, Any]:
    wait_until(lambda: log.snapshot(job)["status"] == status)
    return log.snapshot(job)


def test_a_forked_process_says_all_before_it_ends(forked: Project, log: TaskLog) -> None:
    done = forked.enqueue(rq_app.imports, 3)
    retried = forked.enqueue(rq_app.fails_at_first, retry=rq.Retry(max=1))
    failed = forked.enqueue(rq_app.fails)
    assert ended(log, failed, "failed")["attempt"] == 1
    assert ended(log, done, "finished")["worker"] == "forked"
    assert ended(log, retried, "finished")["attempt"] == 2
    assert log.attempts(retried) == [(1, "failed", "disk full"), (2, "finished", None)]


def test_a_job_that_is_stopped_is_canceled(forked: Project, log: TaskLog) -> None:
    job = forked.enqueue(rq_app.never_ends)
    wait_until(lambda: log.snapshot(job)["percent"] == 50)
    send_stop_job_command(forked.broker, job)
    assert ended(log, job, "canceled")["message"] == "stopped"


@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_whose_process_is_killed_has_failed_or_is_retried(
    forked: Project, worker: subprocess.Popen[bytes], log: TaskLog, retries: int
) -> None:
    job = forked.enqueue(rq_app.never_ends, retry=rq.Retry(max=retries) if retries else None)
    for attempt in range(1, 2 + retries):
        wait_until(lambda number=attempt: f"progressed {number}" in log.told(job))
        psutil.Process(worker.pid).children()[-1].kill()
    assert ended(log, job, "failed")["error"]["detail"] == "its process ended unexpectedly"
    assert [(attempt, status) for attempt, status, _ in log.attempts(job)] == [
        (attempt, "failed") for attempt in range(1, 2 + retries)
    ]
