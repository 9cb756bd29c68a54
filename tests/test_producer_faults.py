"""The SDK under load while servers are killed: each event arrives once, in order, and the work notices nothing."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, repeat

import pytest

import streamproc
from streamproc import Job
from tests.support.processes import Gateway
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server, embedded_valkey

SECONDS = 60.0
GROWTH = (1, 10, 100, 1000)
"""By how many entries the log grows before the next kill: often before the first of them are confirmed."""


class Worker:
    """One that reports until it is told to stop, and knows what it said."""

    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = name
        self.units = 0
        self.said: list[tuple[str, str]] = []

    def work(self, stop: threading.Event) -> None:
        while not stop.wait(0.002):
            name = f"{self._name}-{self.units}"
            self.units += 1
            with self._job.unit(name) as unit:
                unit.percent(50)
                unit.count("rows", done=2, total=3)
            self.said += [("unit.started", name), ("job.counted", name), ("unit.finished", name)]


def restarts_under_load(url: str, log: LogReader, restarts: Iterable[Callable[[], None]]) -> None:
    """Report in four threads, two of them on the same job, while servers restart; then see what arrived."""
    chance = random.Random(3)
    stop = threading.Event()
    with streamproc.connect(url) as sp, ThreadPoolExecutor() as threads:
        with sp.job("a") as a, sp.job("b") as b, sp.job("c") as c:
            workers = [Worker(a, "0"), Worker(b, "0"), Worker(c, "0"), Worker(c, "1")]
            try:
                working = [threads.submit(worker.work, stop) for worker in workers]
                for restart in restarts:
                    enough = log.length() + chance.choice(GROWTH)
                    wait_until(lambda enough=enough: log.length() >= enough, seconds=SECONDS)  # type: ignore[misc]
                    restart()
            finally:
                stop.set()
            for work in working:
                work.result()
        assert sp.flush(SECONDS)
        assert sp.waiting == 0
    for job, its in (("a", workers[:1]), ("b", workers[1:2]), ("c", workers[2:])):
        kept = [event for event in log.once(job) if event["type"] != "unit.progressed"]
        said = [(event["type"], event["unit"]) for event in kept[1:-1]]
        assert (kept[0]["type"], kept[-1]["type"]) == ("job.started", "job.finished")
        for worker in its:
            its_own = set(worker.said)
            assert [each for each in said if each in its_own] == worker.said
        units = sum(worker.units for worker in its)
        assert len(said) == 3 * units
        snapshot = log.snapshot(job)
        assert snapshot["units"] == {"total": units, "pending": 0, "running": 0, "finished": units, "failed": 0}
        assert snapshot["indicators"] == [{"label": "rows", "done": 2 * units, "total": 3 * units}]
        assert (snapshot["status"], snapshot["late"]) == ("finished", 0)


@pytest.fixture
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps what it has acknowledged when it is killed."""
    server = Server(embedded_valkey(), tmp_path_factory.mktemp("durable"), "--appendfsync", "always").start()
    yield server
    server.stop()


def restarting(process: Server | Gateway) -> Callable[[], None]:
    def restart() -> None:
        process.kill()
        process.start()

    return restart


def test_a_server_killed_twenty_times_under_load_gets_each_event_once_and_in_order(durable: Server) -> None:
    with LogReader(durable.url, "sp") as log:
        restarts_under_load(durable.url, log, repeat(restarting(durable), 20))


def test_a_gateway_and_its_server_killed_in_turn_under_load_get_each_event_once_and_in_order(durable: Server) -> None:
    gateway = Gateway(durable.url).start()
    try:
        with LogReader(durable.url, "sp") as log:
            restarts_under_load(gateway.url, log, islice(cycle([restarting(gateway), restarting(durable)]), 4))
    finally:
        gateway.kill()
