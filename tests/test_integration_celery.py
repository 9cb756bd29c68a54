"""Celery's tasks, run by its own workers in both pools, and eagerly: what is said of them, and that they don't mind."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import streamproc
from streamproc import JobCanceled, Producer
from tests.support.producing import wait_until
from tests.support.servers import Server, free_port
from tests.support.tasks import TaskLog, celery_settings, framework

framework("celery")

from celery import Celery, Task, signals
from celery.utils.dispatch import Signal

from streamproc.integrations.celery import install

ROOT = Path(__file__).parent.parent
NAMESPACE = f"t{secrets.token_hex(4)}"
POOLS = ["prefork", "solo"]


@contextmanager
def own_signals() -> Iterator[None]:
    """Celery's signals are those of the process; here, those of a test."""
    with pytest.MonkeyPatch.context() as patch:
        for signal in vars(signals).values():
            if isinstance(signal, Signal):
                patch.setattr(signal, "receivers", [])
        yield


@contextmanager
def worker(pool: str, broker: str, url: str, queue: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the app's, in processes of its own."""
    command = [sys.executable, "-m", "celery", "-A", "tests.support.celery_app", "worker", f"--pool={pool}"]
    queue = queue or pool
    command += [
        "--concurrency=1",
        f"--hostname={queue}@here",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=INFO",
    ]
    variables = {"BROKER": broker, "QUEUE": queue, "STREAMPROC_URL": url, "NAMESPACE": NAMESPACE}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def broker(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/5"


@pytest.fixture(scope="module")
def _workers(broker: str, server: Server) -> Iterator[None]:
    with ExitStack() as stack:
        processes = [stack.enter_context(worker(pool, broker, server.url)) for pool in POOLS]
        yield
        for process in processes:
            process.terminate()


@pytest.fixture
def log(server_url: str) -> Iterator[TaskLog]:
    reader = TaskLog(server_url, NAMESPACE)
    yield reader
    reader.client.close()


@pytest.fixture
def sp(server_url: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=NAMESPACE) as connection:
        yield connection


class Shop:
    """A project's client: it sends tasks to a worker of its own queue."""

    def __init__(self, broker: str, queue: str, sp: Producer) -> None:
        self.queue = queue
        self.app = Celery("client", set_as_current=False)
        self.app.conf.update(celery_settings(broker, queue))
        install(self.app, sp)
        # So that it is known in which order the log has what this process and the worker's say.
        signals.before_task_publish.connect(lambda **_: sp.flush(timeout=0.5), weak=False)

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Send a task by its name. Returns its id."""
        id: str = self.app.send_task(f"tests.support.celery_app.{name}", args, **options).id  # noqa: A001
        return id

    def state(self, id: str) -> str:  # noqa: A002
        """What Celery says of a task that is over."""
        wait_until(lambda: self.app.AsyncResult(id).ready())
        state: str = self.app.AsyncResult(id).state
        return state


@pytest.fixture(params=POOLS)
def shop(request: pytest.FixtureRequest, _workers: None, broker: str, sp: Producer) -> Iterator[Shop]:
    with own_signals():
        client = Shop(broker, request.param, sp)
        yield client
        client.app.close()


def ended(log: TaskLog, job: str, status: str = "finished", attempt: int = 1) -> dict[str, Any]:
    """The job's snapshot, once it has ended so."""
    wait_until(lambda: (log.snapshot(job)["status"], log.snapshot(job)["attempt"]) == (status, attempt))
    return log.snapshot(job)


# By a worker -------------------------------------------------------------------------------------------------------


def test_a_task_is_queued_starts_progresses_and_finishes(shop: Shop, log: TaskLog) -> None:
    task = shop.send("imports", 3)
    snapshot = ended(log, task)
    assert log.told(task) == ["queued 1", "started 1", "progressed 1", "finished 1"]
    assert (snapshot["kind"], snapshot["message"]) == ("tests.support.celery_app.imports", "nearly")
    assert (snapshot["result"], snapshot["items"]) == (3, {"done": 2, "total": 3})
    assert snapshot["worker"].endswith("@here")
    assert shop.state(task) == "SUCCESS"


def test_a_task_that_raises_has_failed_and_says_why(shop: Shop, log: TaskLog) -> None:
    task = shop.send("fails")
    assert ended(log, task, "failed")["error"] == {"type": "ValueError", "detail": "disk full"}
    assert log.told(task) == ["queued 1", "started 1", "failed 1"]
    assert shop.state(task) == "FAILURE"


@pytest.mark.parametrize("name", ["is_tried_again", "tries_again"])
def test_a_task_that_is_retried_starts_a_new_attempt(shop: Shop, log: TaskLog, name: str) -> None:
    task = shop.send(name)
    snapshot = ended(log, task, attempt=2)
    assert [said for said in log.told(task) if not said.startswith("progressed")] == [
        "queued 1",
        "started 1",
        "queued 2",
        "failed 1",
        "started 2",
        "finished 2",
    ]
    why = "disk full" if name == "is_tried_again" else "Retry in 0s"
    assert log.attempts(task) == [(1, "failed", why), (2, "finished", None)]
    assert (snapshot["error"], snapshot["late"]) == (None, 0)


def test_a_task_that_was_asked_to_stop_is_revoked_and_not_retried(shop: Shop, log: TaskLog) -> None:
    task = shop.send("stops")
    snapshot = ended(log, task, "canceled")
    assert (snapshot["message"], snapshot["percent"], snapshot["error"]) == ("enough", 50.0, None)
    assert log.told(task) == ["queued 1", "started 1", "progressed 1", "canceled 1"]
    assert shop.state(task) == "REVOKED"


def test_a_task_stops_at_a_checkpoint_when_somebody_asks_for_it(shop: Shop, log: TaskLog) -> None:
    task = f"asked-{secrets.token_hex(4)}"
    log.serve(task, {"requested": "cancel"})
    shop.send("stops_when_asked", task_id=task)
    ended(log, task, "canceled")
    assert log.told(task) == ["queued 1", "started 1", "canceled 1"]
    assert shop.state(task) == "REVOKED"


def test_a_task_that_celery_ignores_is_canceled(shop: Shop, log: TaskLog) -> None:
    assert ended(log, shop.send("is_ignored"), "canceled")["message"] == "not needed"


def test_a_task_that_is_revoked_before_it_starts_is_canceled(shop: Shop, log: TaskLog) -> None:
    task = f"revoked-{secrets.token_hex(4)}"
    assert shop.app.control.revoke(task, reply=True, timeout=10, destination=[f"{shop.queue}@here"])
    shop.send("imports", 3, task_id=task)
    assert ended(log, task, "canceled")["message"] == "revoked"
    assert log.told(task) == ["queued 1", "canceled 1"]


def test_a_task_that_expires_is_canceled(shop: Shop, log: TaskLog) -> None:
    task = shop.send("imports", 3, expires=-1)
    assert ended(log, task, "canceled")["message"] == "expired"


def test_a_task_that_comes_again_is_the_same_attempt(shop: Shop, log: TaskLog) -> None:
    task = shop.send("comes_again")
    assert ended(log, task)["late"] == 0
    assert [said for said in log.told(task) if not said.startswith("progressed")] == [
        "queued 1",
        "started 1",
        "started 1",
        "finished 1",
    ]


def test_a_task_that_is_replaced_ends_with_its_successor(shop: Shop, log: TaskLog) -> None:
    task = shop.send("is_replaced")
    assert ended(log, task)["result"] == 3
    assert [said for said in log.told(task) if not said.startswith(("queued", "progressed"))] == [
        "started 1",
        "started 1",
        "finished 1",
    ]


def test_a_task_with_a_base_class_of_its_own_is_reported_on(shop: Shop, log: TaskLog) -> None:
    task = shop.send("has_own_base")
    ended(log, task)
    assert log.told(task) == ["queued 1", "started 1", "progressed 1", "finished 1"]


@pytest.mark.parametrize("shop", ["prefork"], indirect=True)
def test_a_task_that_is_terminated_is_canceled(shop: Shop, log: TaskLog) -> None:
    task = shop.send("never_ends")
    wait_until(lambda: "progressed 1" in log.told(task))
    shop.app.control.revoke(task, terminate=True)
    assert ended(log, task, "canceled")["message"] == "terminated"
    assert log.told(task) == ["queued 1", "started 1", "progressed 1", "canceled 1"]


@pytest.mark.parametrize("shop", ["prefork"], indirect=True)
def test_a_task_whose_process_is_killed_has_failed(shop: Shop, log: TaskLog) -> None:
    task = shop.send("never_ends", time_limit=0.5)
    assert ended(log, task, "failed")["error"]["type"] == "TimeLimitExceeded"
    assert log.told(task)[:4] == ["queued 1", "started 1", "progressed 1", "failed -"]


def test_a_task_that_is_lost_has_failed_once_however_often_celery_says_so(
    app: Celery, sp: Producer, log: TaskLog
) -> None:
    install(app, sp)

    @app.task(shared=False)
    def is_lost() -> None:
        raise AssertionError

    for id in ("lost-1", "lost-2"):  # noqa: A001
        for _ in range(2):
            signals.task_failure.send(sender=is_lost, task_id=id, exception=TimeoutError())
        assert log.told(id) == ["failed -"]


# Eagerly, in this process ------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> Iterator[Celery]:
    with own_signals():
        yield Celery("eager", set_as_current=False)


def test_an_eager_task_is_reported_on_too(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp)

    @app.task(shared=False, bind=True)
    def resizes(self: Any, size: int) -> str:
        self.progress.percent(size)
        return f"{self.request.id} is {size}"

    result = resizes.apply([50])
    assert result.get() == f"{result.id} is 50"
    assert log.told(result.id) == ["started 1", "progressed 1", "finished 1"]
    assert log.snapshot(result.id)["result"] == result.get()


def test_an_eager_task_that_fails_is_retried_or_stopped_as_by_a_worker(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp)

    @app.task(shared=False, bind=True, autoretry_for=(Exception,), retry_kwargs={"countdown": 0})
    def stops_when_tried_again(self: Any) -> None:
        if self.request.retries:
            raise JobCanceled("enough")
        raise ValueError("disk full")

    result = stops_when_tried_again.apply()
    assert result.state == "IGNORED"
    assert log.told(result.id) == ["started 1", "failed 1", "started 2", "canceled 2"]


def test_a_task_that_is_called_as_a_function_runs_and_reports_to_the_job_around_it(
    app: Celery, sp: Producer, log: TaskLog
) -> None:
    install(app, sp)

    @app.task(shared=False, bind=True)
    def resizes(self: Any, size: int) -> int:
        self.progress.percent(size)
        if not size:
            raise JobCanceled
        return size

    assert resizes(7) == 7
    with pytest.raises(JobCanceled):
        resizes(0)
    job = f"around-{secrets.token_hex(4)}"
    with sp.job(job):
        assert resizes(8) == 8
    assert log.snapshot(job)["percent"] == 100.0
    assert log.told(job) == ["started -", "progressed -", "finished -"]


def test_the_base_class_of_the_app_keeps_its_ways(app: Celery, sp: Producer, log: TaskLog) -> None:
    calls = []

    class Counting(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(self.request.id)
            return self.run(*args, **kwargs)

    app.Task = app.subclass_with_self(Counting, name="Task", attribute="_app", abstract=True)
    install(app, sp)

    @app.task(shared=False)
    def resizes() -> str:
        return "done"

    task = resizes.apply()
    assert (task.get(), calls) == ("done", [task.id])


def test_results_can_be_kept_out(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp, results=False)

    @app.task(shared=False)
    def secret() -> str:
        return "password"

    task = secret.apply()
    assert (log.snapshot(task.id)["status"], log.snapshot(task.id)["result"]) == ("finished", None)


def test_a_result_that_json_cannot_say_is_left_out(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp)

    @app.task(shared=False)
    def odd() -> object:
        return object()

    task = odd.apply()
    assert (log.snapshot(task.id)["status"], log.snapshot(task.id)["result"]) == ("finished", None)


def test_only_the_kinds_that_are_wanted_are_reported_on(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp, kinds={"wanted"})
    ran = []

    def work(self: Any) -> None:
        self.progress.percent(50)
        job = streamproc.current_job()
        assert job is not None
        ran.append(job.id)

    wanted = app.task(shared=False, bind=True, name="wanted")(work).apply()
    other = app.task(shared=False, bind=True, name="other")(work).apply()
    assert (ran, streamproc.current_job()) == ([wanted.id, "not-reported"], None)
    assert log.told(wanted.id) == ["started 1", "progressed 1", "finished 1"]
    assert log.told(other.id) == log.told("not-reported") == []


def test_tasks_of_another_app_are_not_reported_on(app: Celery, sp: Producer, log: TaskLog) -> None:
    install(app, sp)

    @Celery("other", set_as_current=False).task(shared=False)
    def resizes() -> str:
        return "done"

    task = resizes.apply()
    assert (task.get(), log.told(task.id)) == ("done", [])


@pytest.mark.parametrize("protocol", [1, 2])
def test_what_is_sent_is_reported_but_for_tasks_of_celerys_own(
    app: Celery, broker: str, sp: Producer, log: TaskLog, protocol: int
) -> None:
    install(app, sp)
    app.conf.task_protocol = protocol
    app.conf.update(celery_settings(broker, f"nobody-{secrets.token_hex(4)}"))
    sent = app.send_task("celery.chord_unlock"), app.send_task("shop.imports")
    sp.flush()
    assert [log.told(task.id) for task in sent] == [[], ["queued 1"]]
    app.close()


@pytest.mark.parametrize("id", ["no spaces", "x" * 201])
def test_a_task_whose_id_no_job_can_have_runs_unreported(app: Celery, sp: Producer, id: str) -> None:  # noqa: A002
    install(app, sp)

    @app.task(shared=False, bind=True)
    def resizes(self: Any) -> str:
        self.progress.percent(50)
        return "done"

    assert resizes.apply(task_id=id).get() == "done"


def test_what_is_wrong_with_reporting_stays_out_of_the_task(
    app: Celery, sp: Producer, log: TaskLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(app, sp)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    for name in ("start", "result", "finish"):
        monkeypatch.setattr(streamproc.Job, name, broken)

    @app.task(shared=False, bind=True)
    def resizes(self: Any) -> str:
        self.progress.percent(50)
        return "done"

    assert resizes.apply().get() == "done"
    assert streamproc.current_job() is None


def test_a_process_of_the_pool_says_all_before_it_ends(app: Celery, server_url: str, log: TaskLog) -> None:
    with streamproc.connect(server_url, namespace=NAMESPACE, min_interval=60) as sp:
        install(app, sp)
        job = sp.job(f"held-{secrets.token_hex(4)}")
        job.percent(1)
        wait_until(lambda: log.told(job.id))
        job.percent(2)
        signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
        assert log.snapshot(job.id)["percent"] == 2


def test_installing_too_late_is_refused(app: Celery, sp: Producer) -> None:
    app.finalize()
    with pytest.raises(RuntimeError, match="right after Celery"):
        install(app, sp)


def test_tasks_run_where_no_server_is(broker: str) -> None:
    nobody = streamproc.connect(f"redis://127.0.0.1:{free_port()}", required=False)
    with own_signals(), worker("solo", broker, nobody.settings.url, queue="lonely") as process:
        shop = Shop(broker, "lonely", nobody)
        assert shop.state(shop.send("imports", 3)) == "SUCCESS"
        assert shop.state(shop.send("fails")) == "FAILURE"
        shop.app.close()
        process.kill()  # it would wait for the server to come back, for some seconds
        nobody.close(timeout=0)
