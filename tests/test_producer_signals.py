"""Signals in the middle of what the SDK does: nobody waits for ever, and all that was said arrives once."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

import msgspec
import pytest

import streamproc
from streamproc import Producer
from streamproc.events import Event
from streamproc.producer import queue as queues
from streamproc.producer.outbox import Outbox
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server

SECONDS = 60.0


@contextmanager
def handling(number: signal.Signals, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


# A handler that reports --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_interval", [0, 0.001, 3600])
def test_a_signal_handler_may_report_while_the_work_reports(
    server_url: str, namespace: str, min_interval: float
) -> None:
    reported = {"main": 0, "handler": 0}

    def report(who: str) -> None:
        reported[who] += 1
        with job.unit(f"{who} {reported[who]}") as unit:
            unit.percent(50)
            job.percent(50)
            job.note("still here")
            unit.count("reports", done=1)

    with (
        streamproc.connect(server_url, namespace=namespace, min_interval=min_interval) as sp,
        sp.job("j") as job,
        handling(signal.SIGALRM, lambda *_: report("handler")),
    ):
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        try:
            while reported["main"] < 2000 or reported["handler"] < 100:
                report("main")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert sp.flush(SECONDS)
        assert sp.waiting == 0
    with LogReader(server_url, namespace) as log:
        events, snapshot = log.events("j"), log.snapshot("j")
    total = sum(reported.values())
    assert snapshot["units"]["finished"] == snapshot["units"]["total"] == total
    assert snapshot["indicators"] == [{"label": "reports", "done": total, "total": 0}]
    assert sum(event["type"] == "job.noted" for event in events) == total
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("word", ["keep", "each", "latest"])
def test_what_is_said_in_the_middle_of_a_report_comes_after_it(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Outbox(0, 2**30, lambda: True)
    interruptions = iter(range(1, 4))

    def say(number: int) -> None:
        event = Event(job="j", type="job.noted", message=str(number))
        if word == "keep":
            queue.keep(event)
        else:
            getattr(queue, word)(f"target {number}", event)

    def encode(event: Event) -> bytes:
        for number in interruptions:
            say(number)
            assert queue.flush(SECONDS) > 0  # waits for nothing, as nothing can go out now
        return msgspec.json.encode(event)

    monkeypatch.setattr(queues, "encode", encode)
    say(0)
    sent = queue.take() or []
    assert [msgspec.json.decode(payload)["message"] for _, payload in sent] == ["0", "1", "2", "3"]


# An interrupted report ---------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As KeyboardInterrupt, but nobody else's."""


@pytest.fixture
def no_finalizers() -> Iterator[None]:
    """An exception in a finalizer is nobody's: other tests' garbage isn't collected in here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize("min_interval", [0, 0.001, 3600])
def test_an_interrupted_report_loses_no_more_than_itself(server_url: str, namespace: str, min_interval: float) -> None:
    """A notebook's user stops a cell again and again, at any moment, while a thread reports too."""
    armed = False
    interrupted = 0

    def interrupt(*_: object) -> None:
        nonlocal armed, interrupted
        if armed:
            armed = False
            interrupted += 1
            raise Interrupted

    def report(unit: str) -> None:
        with job.unit(unit) as it:
            it.percent(50)
            job.percent(50)
            it.count("reports", done=1)

    def work() -> int:
        number = 0
        while not stop.wait(0.001):
            report(f"thread {number}")
            number += 1
        return number

    stop = threading.Event()
    whole: list[str] = []
    with (
        streamproc.connect(server_url, namespace=namespace, min_interval=min_interval) as sp,
        ThreadPoolExecutor(1) as thread,
        handling(signal.SIGALRM, interrupt),
    ):
        job = sp.job("j").start()
        working = thread.submit(work)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        try:
            while interrupted < 200 or len(whole) < 1000:
                unit = f"main {interrupted} {len(whole)}"
                with suppress(Interrupted):
                    armed = True
                    report(unit)
                    armed = False
                    whole.append(unit)
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            stop.set()
        whole += [f"thread {number}" for number in range(working.result(SECONDS))]
        job.finish()
        assert sp.flush(SECONDS)
        assert sp.waiting == 0
    with LogReader(server_url, namespace) as log:
        events = log.events("j")
    assert events[-1]["type"] == "job.finished"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for kind in ("unit.started", "unit.finished", "job.counted"):
        units = [event["unit"] for event in events if event["type"] == kind]
        assert len(set(units)) == len(units)
        assert not set(whole) - set(units)


# A signal while somebody waits -------------------------------------------------------------------------------------


@contextmanager
def when_it_waits(number: signal.Signals) -> Iterator[None]:
    """Send us a signal as soon as the main thread waits for something to be delivered."""
    main = threading.main_thread().ident

    def waits() -> bool:
        frame = sys._current_frames().get(main or 0)
        before = frame and frame.f_back
        return before is not None and before.f_code is threading.Condition.wait_for.__code__

    def send() -> None:
        wait_until(waits)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


@pytest.fixture
def mute(own_server: Server) -> Iterator[Server]:
    """A server that takes connections and answers nobody, until it is told to go on."""
    with streamproc.connect(own_server.url):
        pass
    assert own_server.process is not None
    own_server.process.send_signal(signal.SIGSTOP)
    yield own_server
    own_server.process.send_signal(signal.SIGCONT)


def go_on(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGCONT)


def flush(sp: Producer) -> None:
    sp.flush(SECONDS)


def end_a_job(sp: Producer) -> None:
    with sp.job("l"):
        pass


def close(sp: Producer) -> None:
    sp.close(SECONDS)


@pytest.mark.parametrize("what", [flush, end_a_job, close])
def test_an_interrupted_wait_is_over_and_nothing_is_lost_by_it(what: Callable[[Producer], None], mute: Server) -> None:
    sp = streamproc.connect(mute.url, required=False, flush_seconds=SECONDS)
    sp.job("j").start().percent(50)
    with pytest.raises(KeyboardInterrupt), when_it_waits(signal.SIGINT):
        what(sp)
    go_on(mute)
    other = threading.Thread(target=sp.flush, args=(SECONDS,))
    other.start()
    other.join(SECONDS)
    assert not other.is_alive()
    sp.close(SECONDS)
    assert sp.waiting == 0
    with LogReader(mute.url, "sp") as log:
        assert [event["type"] for event in log.once("j")] == ["job.started", "job.progressed"]
        assert log.types("l") == (["job.started", "job.finished"] if what is end_a_job else [])


def test_an_interrupted_first_report_starts_no_second_thread(
    server_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start
    started: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        begin(thread)
        started.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with streamproc.connect(server_url, namespace=namespace) as sp:
        with pytest.raises(KeyboardInterrupt):
            sp.job("j").start()
        for number in range(100):
            sp.job("j").note(str(number))
    assert len(started) == 1
    with LogReader(server_url, namespace) as log:
        assert log.types("j") == ["job.started"] + ["job.noted"] * 100


def test_a_program_that_is_interrupted_while_it_closes_delivers_when_it_closes_again(mute: Server) -> None:
    with ExitStack() as program:
        sp = program.enter_context(streamproc.connect(mute.url, required=False, flush_seconds=0))
        with sp.job("j"):
            pass
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), when_it_waits(signal.SIGINT):
                sp.close(SECONDS)
        go_on(mute)
    with LogReader(mute.url, "sp") as log:
        assert [event["type"] for event in log.once("j")] == ["job.started", "job.finished"]


@pytest.mark.parametrize("what", [flush, end_a_job, close])
def test_a_handler_may_report_and_end_jobs_while_somebody_waits(what: Callable[[Producer], None], mute: Server) -> None:
    sp = streamproc.connect(mute.url, required=False, flush_seconds=0.1)
    sp.job("j").start().percent(50)
    other = sp.job("k").start()

    def handler(*_: object) -> None:
        with other.unit("last"):
            other.note("told to stop")
        other.finish()
        go_on(mute)

    with handling(signal.SIGUSR1, handler), when_it_waits(signal.SIGUSR1):
        what(sp)
    sp.close(SECONDS)
    with LogReader(mute.url, "sp") as log:
        assert [event["type"] for event in log.once("j")] == ["job.started", "job.progressed"]
        assert log.types("l") == (["job.started", "job.finished"] if what is end_a_job else [])
        assert [event["type"] for event in log.once("k")] == [
            "job.started",
            "unit.started",
            "job.noted",
            "unit.finished",
            "job.finished",
        ]
