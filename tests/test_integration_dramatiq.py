"""Dramatiq's actors, run by its own worker from a Redis broker: what is said of them, and that they don't mind."""

import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import streamproc
from streamproc import JobCanceled, Producer
from tests.support.producing import wait_until
from tests.support.servers import Server, free_port
from tests.support.tasks import TaskLog, framework

framework("dramatiq")

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Middleware, SkipMessage

from streamproc.integrations.dramatiq import StreamprocMiddleware


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[TaskLog]:
    reader = TaskLog(server_url, namespace)
    yield reader
    reader.client.close()


class Flushing(Middleware):
    """So that it is known in which order the log has what this thread and the worker's say."""

    def __init__(self, sp: Producer) -> None:
        self.sp = sp

    def before_enqueue(self, broker: Any, message: Any, delay: int) -> None:
        self.sp.flush()


class Project:
    """A project's broker and worker."""

    def __init__(self, server: Server, sp: Producer, **options: Any) -> None:
        self.broker = RedisBroker(url=f"redis://127.0.0.1:{server.port}/6", namespace=f"d{secrets.token_hex(4)}")
        self.broker.add_middleware(AsyncIO())
        self.broker.add_middleware(StreamprocMiddleware(sp, **options))
        self.worker = dramatiq.Worker(self.broker, worker_timeout=100, worker_threads=1)

    def actor(self, function: Any, **options: Any) -> Any:
        options = {"min_backoff": 1, "max_backoff": 1} | options
        return dramatiq.actor(function, broker=self.broker, queue_name="shop", **options)

    def run(self, message: Any, **options: Any) -> str:
        """Send a message, and have it worked on. Returns its id."""
        if not self.worker.workers:
            self.worker.start()
        sent: str = self.broker.enqueue(message, **options).message_id
        self.broker.join("shop", timeout=20_000)
        self.worker.join()
        return sent


@pytest.fixture
def project(server: Server, sp: Producer) -> Iterator[Project]:
    made = Project(server, sp)
    made.broker.add_middleware(Flushing(sp))
    yield made
    made.worker.stop()
    made.broker.close()


def test_a_message_is_queued_starts_progresses_and_finishes(project: Project, log: TaskLog) -> None:
    def imports(rows: int) -> None:
        job = streamproc.current_job()
        assert job is not None
        job.items(rows - 1, rows, "nearly")

    message = project.run(project.actor(imports).message(3))
    assert log.told(message) == ["queued 1", "started 1", "progressed 1", "finished 1"]
    snapshot = log.snapshot(message)
    assert (snapshot["kind"], snapshot["status"], snapshot["message"]) == ("imports", "finished", "nearly")
    assert snapshot["items"] == {"done": 2, "total": 3}


def test_an_actor_that_raises_has_failed_and_says_why(project: Project, log: TaskLog) -> None:
    def fails() -> None:
        raise ValueError("disk full")

    message = project.run(project.actor(fails, max_retries=0).message())
    assert log.told(message) == ["queued 1", "started 1", "failed 1"]
    assert log.snapshot(message)["error"] == {"type": "ValueError", "detail": "disk full"}


def test_an_actor_that_is_retried_starts_a_new_attempt(project: Project, log: TaskLog) -> None:
    failures = iter(["disk full", "still full"])

    def recovers() -> None:
        job = streamproc.current_job()
        assert job is not None
        job.percent(50)
        for failure in failures:
            raise ValueError(failure)

    message = project.run(project.actor(recovers).message())
    assert [said for said in log.told(message) if not said.startswith("progressed")] == [
        "queued 1",
        "started 1",
        "queued 2",
        "failed 1",
        "started 2",
        "queued 3",
        "failed 2",
        "started 3",
        "finished 3",
    ]
    assert log.attempts(message) == [(1, "failed", "disk full"), (2, "failed", "still full"), (3, "finished", None)]
    snapshot = log.snapshot(message)
    assert (snapshot["status"], snapshot["error"], snapshot["late"]) == ("finished", None, 0)


def test_an_actor_that_was_asked_to_stop_is_canceled_and_not_retried(project: Project, log: TaskLog) -> None:
    def stops() -> None:
        raise JobCanceled("enough")

    message = project.run(project.actor(stops).message())
    assert log.told(message) == ["queued 1", "started 1", "canceled 1"]
    assert log.snapshot(message)["message"] == "enough"


@pytest.mark.parametrize("throws", [KeyError, (KeyError, OSError)])
def test_what_an_actor_throws_for_good_stays_so(project: Project, log: TaskLog, throws: Any) -> None:
    def fails() -> None:
        raise KeyError("gone")

    message = project.run(project.actor(fails, throws=throws).message())
    assert log.told(message) == ["queued 1", "started 1", "failed 1"]


def test_a_message_with_a_delay_is_queued_once(project: Project, log: TaskLog) -> None:
    def works() -> None:
        pass

    message = project.run(project.actor(works).message(), delay=10)
    assert log.told(message) == ["queued 1", "started 1", "finished 1"]


@pytest.mark.parametrize("first", [True, False])
def test_a_message_that_another_middleware_skips_is_canceled(project: Project, log: TaskLog, first: bool) -> None:
    class Skipping(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            raise SkipMessage

    where: Any = {"before": StreamprocMiddleware} if first else {"after": StreamprocMiddleware}
    project.broker.add_middleware(Skipping(), **where)

    def works() -> None:
        raise AssertionError

    message = project.run(project.actor(works).message())
    assert log.told(message) == ["queued 1", *([] if first else ["started 1"]), "canceled 1"]


def test_an_async_actor_knows_its_job(project: Project, log: TaskLog) -> None:
    async def works() -> None:
        job = streamproc.current_job()
        assert job is not None
        job.percent(50)

    message = project.run(project.actor(works).message())
    assert log.told(message) == ["queued 1", "started 1", "progressed 1", "finished 1"]


@pytest.mark.parametrize("heard", [True, False])
def test_no_job_is_left_behind_in_the_workers_thread(project: Project, sp: Producer, heard: bool) -> None:
    seen = []
    if not heard:
        sp.close()

    class Looking(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            if message.args[0] == "skip":
                raise SkipMessage

        def after_ack(self, broker: Any, message: Any) -> None:
            seen.append(streamproc.current_job())

        after_nack = after_ack

    project.broker.add_middleware(Looking())

    def works(how: str) -> None:
        if how == "fail":
            raise ValueError

    actor = project.actor(works, max_retries=0)
    for how in ("finish", "fail", "skip"):
        project.run(actor.message(how))
    assert seen == [None, None, None]


def test_results_are_told_where_json_can_say_them(project: Project, log: TaskLog) -> None:
    def sums(numbers: list[int]) -> Any:
        return {"sum": sum(numbers)} if numbers else object()

    actor = project.actor(sums)
    told, odd = project.run(actor.message([1, 2])), project.run(actor.message([]))
    assert log.snapshot(told)["result"] == {"sum": 3}
    assert (log.snapshot(odd)["status"], log.snapshot(odd)["result"]) == ("finished", None)


def test_results_can_be_kept_out_and_kinds_too(server: Server, sp: Producer, log: TaskLog) -> None:
    project = Project(server, sp, results=False, kinds={"secret"})

    def secret() -> str:
        return "password"

    def other() -> None:
        job = streamproc.current_job()
        assert job is not None
        job.percent(50)

    wanted, unwanted = project.run(project.actor(secret).message()), project.run(project.actor(other).message())
    project.worker.stop()
    assert (log.snapshot(wanted)["status"], log.snapshot(wanted)["result"]) == ("finished", None)
    assert log.told(unwanted) == []


def test_a_worker_that_stops_says_all_before(server: Server, server_url: str, namespace: str, log: TaskLog) -> None:
    with streamproc.connect(server_url, namespace=namespace, min_interval=60) as sp:
        project = Project(server, sp)
        project.worker.start()
        job = sp.job("held")
        job.percent(1)
        wait_until(lambda: log.told("held"))
        job.percent(2)
        project.worker.stop()
        assert log.snapshot("held")["percent"] == 2


def test_actors_run_where_no_server_is(server: Server) -> None:
    nobody = streamproc.connect(f"redis://127.0.0.1:{free_port()}", required=False, flush_seconds=0)
    project = Project(server, nobody)
    ran = threading.Event()

    def works() -> None:
        job = streamproc.current_job()
        assert job is not None
        job.percent(50)
        ran.set()

    project.run(project.actor(works).message())
    project.worker.stop()
    nobody.close(timeout=0)
    assert ran.is_set()
