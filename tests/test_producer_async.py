"""The async twin: it says what the blocking SDK says, and keeps the event loop free."""

import inspect
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread

import streamproc
from streamproc import AsyncJob, AsyncProducer, ConfigError, Job, JobCanceled, Producer, ServerUnavailable, UnknownJob
from tests.support.servers import Server, free_port
from tests.support.stack import Stack


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
async def sp(stack: Stack) -> AsyncIterator[AsyncProducer]:
    async with streamproc.connect_async(stack.redis, namespace=stack.namespace, min_interval=0) as connection:
        yield connection


# The same words ----------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any], object]] = {
    "percent": lambda job: job.percent(41.5, "row 33", {"row": 33}),
    "progress": lambda job: job.progress(7),
    "items": lambda job: job.items(33, 80, "row"),
    "items again": lambda job: (job.items(1, 4), job.items(2)),
    "indeterminate": lambda job: job.indeterminate("waiting"),
    "track": lambda job: list(job.track(range(3), "rows")),
    "note": lambda job: job.note("nearly there", {"left": 1}),
    "heartbeat": lambda job: job.heartbeat(),
    "queue": lambda job: job.queue(priority=5, max_attempts=3, params={"path": "a.csv"}),
    "indicator": lambda job: (job.indicator("files").add(10), job.indicator("files").done()),
    "stage": lambda job: job.stage("Parse", 2).start().percent(50, "half"),
    "stage finished": lambda job: job.stage("Parse").finish(message="all"),
    "stage skipped": lambda job: job.stage("Parse").skip("empty"),
    "stage failed": lambda job: job.stage("Parse").fail("no room"),
    "unit": lambda job: job.unit("doc", 10, stage="Parse", attempt=2).start().items(1, 2),
    "unit counts": lambda job: job.unit("doc").count("pages", done=1, total=4),
    "unit added": lambda job: job.add_unit("later", 5, stage="Parse"),
    "result": lambda job: job.result({"rows": 3}),
    "finish": lambda job: job.finish({"rows": 4}, message="done"),
    "fail": lambda job: job.fail(ValueError("odd"), message="no"),
    "cancel": lambda job: job.cancel("not wanted"),
}
FACTS: dict[str, Any] = {
    "kind": "import",
    "title": "Import",
    "stages": {"Parse": 1},
    "labels": {"team": "blue"},
    "owner": "ann",
    "worker": "w1",
    "attempt": 2,
}


async def test_it_says_the_same_as_the_blocking_one(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    def block() -> None:
        with streamproc.connect(stack.redis, namespace=stack.namespace, min_interval=0) as blocking:
            for at, call in enumerate(CALLS.values()):
                with blocking.job(f"{job_id}-{at}-blocking", **FACTS) as job:
                    call(job)

    await to_thread.run_sync(block)
    for at, (name, call) in enumerate(CALLS.items()):
        async with sp.job(f"{job_id}-{at}", **FACTS) as job:
            call(job)
        events = stack.said(f"{job_id}-{at}")
        assert events == stack.said(f"{job_id}-{at}-blocking"), name
        assert len(events) >= 2


def test_it_takes_the_same_parameters_and_has_the_same_names() -> None:
    def shape(function: Any) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(function).parameters.values()
        return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]

    def words(of: type) -> set[str]:
        return {name for name in dir(of) if not name.startswith("_")}

    assert shape(streamproc.connect_async) == shape(streamproc.connect)
    for name in ("job", "find", "flush", "close"):
        assert shape(getattr(AsyncProducer, name)) == shape(getattr(Producer, name)), name
    assert words(AsyncProducer) == words(Producer)
    assert words(AsyncJob) == words(Job)


async def test_stages_and_units_work_in_both_kinds_of_with(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    async with sp.job(job_id) as job:
        async with job.stage("Upload"), job.unit("a"):
            assert streamproc.current_job() is job
        with job.stage("Parse"), job.unit("b"):
            pass
    assert [event["type"] for event in stack.said(job_id)] == [
        "job.started",
        *("stage.started", "unit.started", "unit.finished", "stage.finished") * 2,
        "job.finished",
    ]


async def test_it_finds_a_job(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    async with sp.job(job_id, kind="import"):
        pass
    stack.wait_for(job_id, status="finished")
    assert (await sp.find(job_id)).kind == "import"
    with pytest.raises(UnknownJob):
        await sp.find("nobody")


# What is asked of it -----------------------------------------------------------------------------------------------


async def test_a_checkpoint_stops_a_job_that_was_asked_to_stop(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    stack.ask(job_id, "cancel")
    stack.wait_for(job_id, requested="cancel")
    with pytest.raises(JobCanceled):
        async with sp.job(job_id) as job:
            await job.checkpoint()
    assert stack.log.types(job_id)[-1] == "job.canceled"


async def test_a_checkpoint_waits_while_paused_and_other_tasks_go_on(
    stack: Stack, sp: AsyncProducer, job_id: str
) -> None:
    async def resume() -> None:
        await to_thread.run_sync(lambda: stack.wait_for(job_id, status="paused"))
        await to_thread.run_sync(stack.ask, job_id, "resume")

    stack.ask(job_id, "pause")
    stack.wait_for(job_id, requested="pause")
    async with sp.job(job_id) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(resume)
        await job.checkpoint()
    assert stack.log.types(job_id)[-4:] == ["job.paused", "job.resume_requested", "job.resumed", "job.finished"]


async def test_a_paused_checkpoint_can_be_canceled(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await to_thread.run_sync(lambda: stack.wait_for(job_id, status="paused"))
        scope.cancel()

    stack.ask(job_id, "pause")
    stack.wait_for(job_id, requested="pause")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, sp.job(job_id) as job:
            tasks.start_soon(cancel, tasks.cancel_scope)
            await job.checkpoint()
    assert stack.log.types(job_id)[-1] == "job.canceled"


async def test_a_checkpoint_gives_other_tasks_their_turn(sp: AsyncProducer, job_id: str) -> None:
    ran = anyio.Event()

    async def run() -> None:
        ran.set()

    async with sp.job(job_id) as job, anyio.create_task_group() as tasks:
        await job.checkpoint()
        tasks.start_soon(run)
        for _ in range(10):
            await job.checkpoint()
        assert ran.is_set()


async def test_what_is_asked_is_told_in_the_event_loop(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    told: list[tuple[str, int]] = []
    heard = anyio.Event()

    def on_request(wish: str) -> None:
        told.append((wish, threading.get_ident()))
        heard.set()

    async with sp.job(job_id, on_request=on_request):
        await to_thread.run_sync(stack.ask, job_id, "cancel")
        with anyio.fail_after(20):
            await heard.wait()
    assert told == [("cancel", threading.get_ident())]


# The event loop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["end of the job", "flush", "close"])
async def test_a_server_that_hangs_does_not_hold_the_event_loop(own_server: Server, wait: str) -> None:
    assert own_server.process is not None
    process = own_server.process

    async def go_on() -> None:
        process.send_signal(signal.SIGCONT)

    async with streamproc.connect_async(own_server.url) as sp, anyio.create_task_group() as tasks:
        async with sp.job("warm"):
            pass
        process.send_signal(signal.SIGSTOP)
        job = sp.job("j").start()
        for percent in range(1000):
            job.percent(percent / 10)
        tasks.start_soon(go_on)  # as long as the loop is held, the server hangs
        match wait:
            case "end of the job":
                async with job:
                    pass
            case "flush":
                assert await sp.flush()
            case "close":
                await sp.close()
        assert sp.waiting == 0


async def test_flush_and_close_are_bounded(own_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with streamproc.connect_async(own_server.url) as sp:
        own_server.stop()
        async with sp.job("j"):
            pass
        with caplog.at_level(logging.WARNING, "streamproc"):
            assert not await sp.flush(0.05)
            await sp.close(0.05)
        assert sp.waiting == 2
    assert caplog.text.count("2 events could not be delivered") == 2


# Connecting --------------------------------------------------------------------------------------------------------


async def test_connecting_to_nothing_says_what_to_do() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(ServerUnavailable, match=r"^nothing answers at .*: start it with `streamproc up`"):
        async with streamproc.connect_async(url):
            pass
    with pytest.raises(ConfigError, match="url"):
        streamproc.connect_async("ftp://example.org")


async def test_a_server_that_is_not_required_may_come_later(own_server: Server) -> None:
    own_server.stop()
    async with streamproc.connect_async(own_server.url, required=False) as sp:
        async with sp.job("j"):
            pass
        own_server.start()
    assert sp.waiting == 0


async def test_open_and_close_do_what_async_with_does(stack: Stack, job_id: str) -> None:
    sp = streamproc.connect_async(stack.redis, namespace=stack.namespace)
    await sp.open()
    sp.job(job_id).note("here")
    await sp.close()
    await sp.close()
    assert stack.log.types(job_id) == ["job.noted"]
    with pytest.raises(RuntimeError, match="closed"):
        sp.job(job_id)
