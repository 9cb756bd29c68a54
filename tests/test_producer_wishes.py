"""What is asked of jobs: checkpoints, `requested` and `on_request`, heard over one subscription of the process."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import streamproc
from streamproc import JobCanceled, Producer
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server
from tests.support.stack import Stack

ROUND = "streamproc.producer.listening._ROUND_SECONDS"


@pytest.fixture
def sp(stack: Stack) -> Iterator[Producer]:
    # Without heartbeats, each of which rings the doorbell too.
    with streamproc.connect(stack.redis, namespace=stack.namespace, heartbeat_interval=0) as connection:
        yield connection


@pytest.fixture
def no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks now and then, or connects anew: a wish is heard, or seen when a connection is new."""
    monkeypatch.setattr(ROUND, 3600)
    monkeypatch.setattr("streamproc.subscription._SILENCE_SECONDS", 3600)


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "streamproc-listener"]


def subscriptions(client: Any) -> int:
    return len(client.client_list(_type="pubsub"))


# Checkpoints -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_stops_a_job_that_was_asked_to_stop(stack: Stack, sp: Producer, job_id: str) -> None:
    stack.ask(job_id, "cancel")
    stack.wait_for(job_id, requested="cancel")
    with pytest.raises(JobCanceled), sp.job(job_id) as job:
        job.checkpoint()  # the first one already
    assert stack.log.types(job_id) == ["job.cancel_requested", "job.started", "job.canceled"]


@pytest.mark.usefixtures("no_rounds")
def test_a_wish_that_comes_later_is_heard(stack: Stack, sp: Producer, job_id: str) -> None:
    with sp.job(job_id) as job:
        job.checkpoint()
        assert job.requested is None
        stack.ask(job_id, "cancel")
        wait_until(lambda: job.requested == "cancel")
        with pytest.raises(JobCanceled):
            job.checkpoint()


@pytest.mark.usefixtures("no_rounds")
def test_a_checkpoint_waits_from_pause_to_resume(stack: Stack, sp: Producer, job_id: str) -> None:
    passed = threading.Event()

    def work() -> None:
        with sp.job(job_id) as job:
            wait_until(lambda: job.requested == "pause")
            job.checkpoint()
            passed.set()
            job.checkpoint()

    worker = threading.Thread(target=work)
    worker.start()
    stack.wait_for(job_id, status="started")
    stack.ask(job_id, "pause")
    stack.wait_for(job_id, status="paused", requested=None)
    assert not passed.is_set()
    stack.ask(job_id, "resume")
    worker.join(20)
    assert passed.is_set()
    asked = ["job.pause_requested", "job.paused", "job.resume_requested", "job.resumed"]
    assert stack.log.types(job_id) == ["job.started", *asked, "job.finished"]


def test_a_paused_job_may_be_asked_to_stop(stack: Stack, sp: Producer, job_id: str) -> None:
    def cancel() -> None:
        stack.wait_for(job_id, status="paused")
        stack.ask(job_id, "cancel")

    stack.ask(job_id, "pause")
    stack.wait_for(job_id, requested="pause")
    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCanceled), sp.job(job_id) as job:
        job.checkpoint()
    thread.join()
    assert stack.log.types(job_id)[-3:] == ["job.paused", "job.cancel_requested", "job.canceled"]


def test_closing_the_connection_ends_a_pause(stack: Stack, job_id: str) -> None:
    sp = streamproc.connect(stack.redis, namespace=stack.namespace)
    stack.ask(job_id, "pause")
    stack.wait_for(job_id, requested="pause")
    worker = threading.Thread(target=sp.job(job_id).start().checkpoint)
    worker.start()
    stack.wait_for(job_id, status="paused")
    sp.close()
    worker.join(20)
    assert not worker.is_alive()


# Being told --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_rounds")
def test_each_wish_is_told_once(stack: Stack, sp: Producer, job_id: str) -> None:
    told: list[str] = []
    with sp.job(job_id, on_request=told.append) as job:
        for wish in ("pause", "resume", "pause", "cancel"):
            stack.ask(job_id, wish)
            wanted = None if wish == "resume" else wish  # what isn't paused can't be resumed: it takes the wish back
            wait_until(lambda wanted=wanted: job.requested == wanted)  # type: ignore[misc]
            job.note("changes the snapshot, and not what is asked")
    assert told == ["pause", "pause", "cancel"]


def test_what_a_callback_raises_is_logged_and_others_are_told(
    stack: Stack, sp: Producer, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fail(wish: str) -> None:
        raise ZeroDivisionError(wish)

    bad, good = f"{job_id}-bad", f"{job_id}-good"
    with sp.job(bad, on_request=fail), sp.job(good, on_request=told.append):
        for job in (bad, good):
            stack.ask(job, "pause")
        wait_until(lambda: told and caplog.records)
        stack.ask(good, "cancel")
        wait_until(lambda: told == ["pause", "cancel"])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == f"what on_request does about 'pause' of job {bad} failed"
    assert record.exc_info is not None


def test_a_callback_may_end_the_job_and_the_connection(stack: Stack, job_id: str) -> None:
    closed = threading.Event()

    def stop(wish: str) -> None:
        job.cancel(wish)
        sp.close()
        closed.set()

    sp = streamproc.connect(stack.redis, namespace=stack.namespace)
    job = sp.job(job_id, on_request=stop).start()
    stack.ask(job_id, "cancel")
    assert closed.wait(20)
    assert stack.log.types(job_id)[-1] == "job.canceled"
    wait_until(lambda: not listeners())


# Over one connection -----------------------------------------------------------------------------------------------


def test_who_never_asks_listens_to_nothing(stack: Stack, sp: Producer, job_id: str) -> None:
    with sp.job(job_id) as job, job.stage("Parse"):
        job.percent(50)
        assert not listeners()


def test_all_jobs_of_a_process_share_one_subscription_and_ended_ones_leave_it(own_server: Server) -> None:
    with streamproc.connect(own_server.url) as sp, LogReader(own_server.url, "sp") as log:
        jobs = [sp.job(f"j{number}").start() for number in range(10)]
        for job in jobs:
            assert job.requested is None
        wait_until(lambda: len(log.client.pubsub_shardchannels()) == 10)
        assert subscriptions(log.client) == 1
        assert len(listeners()) == 1
        for job in jobs[1:]:
            job.finish()
        left = [log.keys.of("j0").live("j0").encode()]
        wait_until(lambda: log.client.pubsub_shardchannels() == left)
        assert all(job.requested is None for job in jobs)  # which doesn't make it follow them again
        with sp.job("k") as job:
            assert job.requested is None
            wait_until(lambda: len(log.client.pubsub_shardchannels()) > 1)
            assert set(log.client.pubsub_shardchannels()) == {*left, log.keys.of("k").live("k").encode()}
    assert not listeners()


def test_a_job_that_nobody_has_ended_is_let_go_with_the_connection(stack: Stack, job_id: str) -> None:
    with streamproc.connect(stack.redis, namespace=stack.namespace) as sp:
        job = sp.job(job_id).start()
        assert job.requested is None
    assert not listeners()
    job.finish()
    assert job.requested is None
