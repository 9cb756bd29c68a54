"""Heartbeats: a job that has begun and says nothing says that it is alive."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import streamproc
from streamproc import Job, Producer
from streamproc.events import Event
from streamproc.producer.outbox import Outbox
from streamproc.wire import decode
from tests.support.producing import LogReader, wait_until

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


# When, to the second -----------------------------------------------------------------------------------------------


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("outbox", "pulse"):
        monkeypatch.setattr(f"streamproc.producer.{module}.monotonic", clock)
    return clock


class Timed:
    """An outbox whose jobs are silent for ten seconds at most, and what goes out of it at a time."""

    def __init__(self, clock: Clock, sp: Producer) -> None:
        self._clock = clock
        self._sp = sp
        self.outbox = Outbox(0, 2**30, lambda: True, 10)

    def begin(self, job: str) -> Job:
        handle = self._sp.job(job)
        self.outbox.begin(handle)
        return handle

    def says(self, job: str) -> None:
        self.outbox.keep(Event(job=job, type="job.noted"))

    def beats_at(self, time: float) -> list[str]:
        self._clock.time = time
        self.outbox.hasten()
        sent = [decode(payload) for _, payload in self.outbox.take() or ()]
        self.outbox.confirm()
        return sorted(event.job for event in sent if event.type == "job.heartbeat")


@pytest.fixture
def timed(clock: Clock) -> Iterator[Timed]:
    with streamproc.connect("redis://127.0.0.1:1/0", required=False) as sp:
        yield Timed(clock, sp)


def test_who_says_something_within_each_interval_has_none(timed: Timed) -> None:
    quiet, busy = timed.begin("quiet"), timed.begin("busy")
    assert timed.beats_at(9) == timed.beats_at(10) == []  # both have just begun
    timed.says("busy")
    assert timed.beats_at(19) == []
    assert timed.beats_at(20) == ["quiet"]
    assert timed.beats_at(30) == ["busy", "quiet"]
    for job in (quiet, busy):
        timed.outbox.end(job)
    assert timed.beats_at(40) == []


def test_a_job_that_begins_does_not_put_off_the_heartbeats_of_others(timed: Timed) -> None:
    first = timed.begin("first")
    assert timed.beats_at(9) == []
    second = timed.begin("second")
    assert timed.beats_at(10) == []
    assert timed.beats_at(20) == ["first", "second"]
    assert first is not second


def test_nobody_is_told_later_that_a_job_was_alive_while_the_server_was_gone(timed: Timed) -> None:
    job = timed.begin("j")
    assert timed.beats_at(10) == []
    timed.outbox.hasten()
    timed.outbox.pause(0)
    assert timed.beats_at(20) == []
    assert timed.beats_at(30) == ["j"]
    assert job.id == "j"
