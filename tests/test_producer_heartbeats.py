"""Heartbeats: a job that has begun and says nothing says that it is alive."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import streamproc
from streamproc import Job, Producer
from streamproc.producer.pulse import Pulse
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server

Connect = Callable[..., Producer]


@pytest.fixture
def connect(server_url: str, namespace: str) -> Iterator[Connect]:
    with ExitStack() as connections:

        def make(interval: float = 0.03) -> Producer:
            sp = streamproc.connect(server_url, namespace=namespace, heartbeat_interval=interval)
            return connections.enter_context(sp)

        yield make


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    with LogReader(server_url, namespace) as reader:
        yield reader


def beats(log: LogReader, job: str) -> int:
    return log.types(job).count("job.heartbeat")


def more_beats(log: LogReader, job: str, many: int = 3) -> None:
    """Wait for some more heartbeats of a job."""
    before = beats(log, job)
    wait_until(lambda: beats(log, job) >= before + many)


# Of which jobs -----------------------------------------------------------------------------------------------------


def test_a_silent_job_has_heartbeats_of_its_worker_and_attempt(connect: Connect, log: LogReader) -> None:
    with connect().job("j", worker="w1", attempt=2):
        more_beats(log, "j")
    heartbeat = log.events("j")[1]
    assert {name: value for name, value in heartbeat.items() if name not in ("src", "seq", "at")} == {
        "job": "j",
        "type": "job.heartbeat",
        "worker": "w1",
        "attempt": 2,
    }
    assert log.snapshot("j")["duplicates"] == 0


def test_a_job_that_waits_in_a_checkpoint_is_alive(connect: Connect, log: LogReader) -> None:
    sp = connect()
    log.serve("j", {"requested": "pause"})
    waiting = threading.Thread(target=sp.job("j").start().checkpoint)
    waiting.start()
    wait_until(lambda: "job.paused" in log.types("j"))
    gc.collect()
    more_beats(log, "j")
    sp.close()
    waiting.join()


def test_a_job_that_has_ended_has_none(connect: Connect, log: LogReader) -> None:
    sp = connect()
    with sp.job("alive"):
        with sp.job("finished"):
            more_beats(log, "finished")
        failed = sp.job("failed").start()
        more_beats(log, "failed")
        failed.fail("odd")
        more_beats(log, "alive")
    assert log.types("finished")[-1] == "job.finished"
    assert log.types("failed")[-1] == "job.failed"


def test_a_job_that_has_not_begun_here_has_none(connect: Connect, log: LogReader) -> None:
    sp = connect()
    going_on = sp.job("going-on")
    going_on.percent(50)
    with sp.job("alive"):
        more_beats(log, "alive")
    assert log.types("going-on") == ["job.progressed"]


def test_a_job_that_its_worker_has_forgotten_has_none(connect: Connect, log: LogReader) -> None:
    sp = connect()
    forgotten = sp.job("forgotten").start()
    kept = sp.job("kept").start().stage("Parse")  # which keeps its job
    more_beats(log, "forgotten")
    del forgotten
    gc.collect()
    sp.flush()
    before = beats(log, "forgotten")
    more_beats(log, "kept")
    assert beats(log, "forgotten") == before
    kept.finish()


def test_the_same_job_may_end_and_begin_again(connect: Connect, log: LogReader) -> None:
    sp = connect()
    first = sp.job("j").start()
    with sp.job("j", attempt=2):
        first.finish()  # which isn't the one that is at work
        more_beats(log, "j")
    assert log.events("j")[-2]["attempt"] == 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_beat_for_the_jobs_of_its_parent(
    connect: Connect, log: LogReader, server_url: str, namespace: str
) -> None:
    sp = connect()
    with sp.job("parent"):
        more_beats(log, "parent")
        child = os.fork()
        if child == 0:  # it leaves without what pytest does at the end
            try:
                with LogReader(server_url, namespace) as own_log, sp.job("child"):
                    more_beats(own_log, "child", 5)
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        more_beats(log, "parent")
    assert beats(log, "child") >= 5
    assert len({event["src"] for event in log.events("parent")}) == 1


def test_an_interval_of_zero_turns_them_off(connect: Connect, log: LogReader) -> None:
    with connect(0).job("silent"), connect().job("alive"):
        more_beats(log, "alive")
    assert log.types("silent") == ["job.started", "job.finished"]


def test_none_are_kept_for_a_server_that_is_gone(own_server: Server) -> None:
    with streamproc.connect(own_server.url, heartbeat_interval=0.01) as sp, sp.job("j") as job:
        with LogReader(own_server.url, "sp") as log:
            more_beats(log, "j", 1)
        own_server.stop()
        job.note("the last word")
        assert not sp.flush(0.3)
        assert sp.waiting <= 3  # the note, and what was said before the server was known to be gone
        own_server.start()


# When, to the second -----------------------------------------------------------------------------------------------


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    with streamproc.connect("redis://127.0.0.1:1/0", required=False) as sp:
        yield [sp.job("a"), sp.job("b")]


def test_a_job_that_reports_within_each_interval_has_none(jobs: list[Job]) -> None:
    pulse = Pulse(10)
    for job in jobs:
        pulse.begin(job)
    time = pulse.due
    assert pulse.beat(time) == []  # all of them have just begun
    assert pulse.due == time + 10
    pulse.spoke("a")
    assert [(event.job, event.type) for event in pulse.beat(time + 10)] == [("b", "job.heartbeat")]
    assert {event.job for event in pulse.beat(time + 20)} == {"a", "b"}
    for job in jobs:
        pulse.end(job)
    assert pulse.beat(time + 30) == []
    assert pulse.due == float("inf")
