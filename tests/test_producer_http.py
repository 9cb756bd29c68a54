"""The SDK through a gateway: the same events arrive, wishes are heard, and a gateway may go and come back."""

import logging
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio import to_thread
from anyio.from_thread import start_blocking_portal

import streamproc
from streamproc import JobCanceled, Producer, ServerUnavailable, UnknownJob
from streamproc.config import Config
from tests.support.producing import wait_until
from tests.support.servers import free_port
from tests.support.stack import Stack, gateway_on


@pytest.fixture
def sp(stack: Stack) -> Iterator[Producer]:
    with streamproc.connect(stack.http, min_interval=0) as connection:
        yield connection


def work(sp: Producer, job_id: str) -> None:
    """Some of everything, with what JSON has to escape."""
    with sp.job(job_id, kind="import", title="Ünïcode ✓", stages={"Parse": 2}, labels={"a": "b"}, attempt=2) as job:
        with job.stage("Parse") as stage:
            stage.percent(50, "half\nway", {"row": 7, "rest": [1.5, None, "\u2028"]})
            list(stage.track(range(3)))
        with job.unit('a "quoted" name', weight=10) as unit:
            unit.count("pages", done=1, total=4)
        job.note("nearly there")
        job.result({"rows": 3})


def test_the_same_events_arrive_as_over_redis(stack: Stack, sp: Producer, job_id: str) -> None:
    work(sp, f"{job_id}-http")
    with streamproc.connect(stack.redis, namespace=stack.namespace, min_interval=0) as direct:
        work(direct, f"{job_id}-redis")
    assert stack.said(f"{job_id}-http") == stack.said(f"{job_id}-redis")
    events = stack.log.events(f"{job_id}-http")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["src"] for event in events}) == 1


def test_many_events_of_many_threads_arrive_once_and_in_order(stack: Stack, sp: Producer, job_id: str) -> None:
    def count(job: streamproc.Job, worker: int) -> None:
        for number in range(500):
            job.add_unit(f"{worker}-{number}")

    with sp.job(job_id) as job:
        threads = [threading.Thread(target=count, args=(job, worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    units = [event["unit"].split("-") for event in stack.log.events(job_id) if "unit" in event]
    for worker in range(4):
        assert [number for whose, number in units if whose == str(worker)] == [str(number) for number in range(500)]
    stack.wait_for(job_id, status="finished", duplicates=0, late=0)


async def test_the_async_twin_goes_through_a_gateway_too(stack: Stack, job_id: str) -> None:
    async with streamproc.connect_async(stack.http) as sp:
        async with sp.job(job_id, kind="import") as job:
            stack.ask(job_id, "cancel")
            await to_thread.run_sync(lambda: wait_until(lambda: job.requested == "cancel"))
            with pytest.raises(JobCanceled):
                await job.checkpoint()
        await to_thread.run_sync(lambda: stack.wait_for(job_id, status="finished"))
        assert (await sp.find(job_id)).kind == "import"


def test_a_job_is_found(stack: Stack, sp: Producer, job_id: str) -> None:
    name = f"{job_id}:a@b"
    with sp.job(name, kind="import") as job:
        job.indicator("files").add(4)
    stack.wait_for(name, status="finished")
    found = sp.find(name)
    assert (found.kind, found.percent) == ("import", 100.0)
    assert found.progress == [streamproc.ProgressIndicator("files", 4, 0)]
    with pytest.raises(UnknownJob, match="there is no job nobody"):
        sp.find("nobody")


def test_finding_says_when_the_gateway_is_gone() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        streamproc.connect(url, required=False) as sp,
        pytest.raises(ServerUnavailable, match=f"no answer from the gateway at {url}"),
    ):
        sp.find("j")


# Wishes ------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_stops_a_job_that_was_asked_to_stop(stack: Stack, sp: Producer, job_id: str) -> None:
    stack.ask(job_id, "cancel")
    stack.wait_for(job_id, requested="cancel")
    with pytest.raises(JobCanceled), sp.job(job_id) as job:
        job.checkpoint()
    assert stack.log.types(job_id) == ["job.cancel_requested", "job.started", "job.canceled"]


def test_a_checkpoint_waits_from_pause_to_resume(stack: Stack, sp: Producer, job_id: str) -> None:
    def go_on() -> None:
        stack.wait_for(job_id, status="paused")
        stack.ask(job_id, "resume")

    resuming = threading.Thread(target=go_on)
    with sp.job(job_id) as job:
        job.checkpoint()
        stack.ask(job_id, "pause")
        wait_until(lambda: job.requested == "pause")
        resuming.start()
        job.checkpoint()
    resuming.join()
    asked = ["job.pause_requested", "job.paused", "job.resume_requested", "job.resumed"]
    assert stack.log.types(job_id) == ["job.started", *asked, "job.finished"]


def test_wishes_of_many_jobs_are_told(stack: Stack, sp: Producer, job_id: str) -> None:
    told: list[tuple[str, str]] = []
    jobs = [f"{job_id}-{number}" for number in range(12)]

    def tell(job: str) -> Callable[[str], None]:
        return lambda wish: told.append((job, wish))

    handles = [sp.job(job, on_request=tell(job)).start() for job in jobs]
    for job in jobs:
        stack.wait_for(job, status="started")
        stack.ask(job, "pause")
    wait_until(lambda: len(told) == len(jobs))
    assert sorted(told) == sorted((job, "pause") for job in jobs)
    for handle in handles:
        handle.finish()


# A gateway that goes and comes -------------------------------------------------------------------------------------


def test_a_gateway_that_is_started_again_gets_everything_once_and_wishes_are_heard(
    stack: Stack, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(redis=stack.redis, namespace=stack.namespace, partitions=stack.config.partitions, port=free_port())
    with start_blocking_portal() as portal, caplog.at_level(logging.INFO, "streamproc"):
        with gateway_on(portal, config):
            sp = streamproc.connect(f"http://127.0.0.1:{config.port}")
            job = sp.job(job_id).start()
            assert job.requested is None
            assert sp.flush()
        for number in range(20):
            job.add_unit(str(number))
        wait_until(lambda: "kept and sent again" in caplog.text)
        with gateway_on(portal, config):
            assert sp.flush(20)
            stack.ask(job_id, "cancel")
            wait_until(lambda: job.requested == "cancel")
            with pytest.raises(JobCanceled), job:
                job.checkpoint()
            sp.close()
    assert [event["unit"] for event in stack.log.events(job_id) if "unit" in event] == [str(n) for n in range(20)]
    stack.wait_for(job_id, status="canceled", duplicates=0)


def test_a_gateway_that_is_not_required_may_come_later(stack: Stack, job_id: str) -> None:
    config = Config(redis=stack.redis, namespace=stack.namespace, partitions=stack.config.partitions, port=free_port())
    with streamproc.connect(f"http://127.0.0.1:{config.port}", required=False) as sp, sp.job(job_id) as job:
        job.percent(50)
        assert job.requested is None
        assert not sp.flush(0.05)
        with start_blocking_portal() as portal, gateway_on(portal, config):
            assert sp.flush(20)
            stack.ask(job_id, "cancel")
            wait_until(lambda: job.requested == "cancel")
            job.cancel()
    wanted = ["job.started", "job.progressed", "job.cancel_requested", "job.canceled"]
    assert stack.log.types(job_id) == wanted


def test_httpx_logs_the_requests_of_the_work_and_not_those_of_the_sdk(
    stack: Stack, sp: Producer, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with sp.job(job_id) as job:
            assert job.requested is None
        httpx.get(f"{stack.http}/livez", trust_env=False)
    assert [record.args[1] for record in caplog.records if record.name == "httpx" and record.args] == [  # type: ignore[index]
        httpx.URL(f"{stack.http}/livez")
    ]
