"""Programs that report, each for an interpreter of its own: ``python -m tests.support.workers PROGRAM URL …``."""

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

import streamproc
from streamproc import Job, Producer, Stage, Unit

FORKS = 20
HOUR = 3600.0
WATCH_SECONDS = 30
NOBODY = "redis://127.0.0.1:1/0"


# Forks -------------------------------------------------------------------------------------------------------------


def forks(url: str, namespace: str) -> None:
    """A thread reports without a pause, and one listens, while this one forks; each child reports too."""
    sp = streamproc.connect(url, namespace=namespace)
    job = sp.job("j", on_request=lambda wish: None).start()
    stop = threading.Event()
    reported = 0

    def report() -> None:
        nonlocal reported
        while not stop.is_set():
            job.indicator("parent").done()
            job.percent(50)
            reported += 1

    thread = threading.Thread(target=report)
    thread.start()
    children = []
    for number in range(FORKS):
        child = os.fork()
        if child == 0:
            signal.alarm(WATCH_SECONDS)  # ends a child that waits for a lock that nobody lets go of
            with job.unit(f"child-{number}") as unit:
                unit.count("children", done=1)
            sp.close()
            os._exit(0 if not sp.waiting else 1)
        children.append(child)
    stop.set()
    thread.join()
    codes = [os.waitpid(child, 0)[1] for child in children]
    job.finish({"children": codes, "reported": reported})


def holding(sp: Producer) -> Job:
    """A job of which something is held that waits for an hour, unless somebody flushes."""
    job = sp.job("j").start()
    job.percent(10)
    while sp.waiting:
        time.sleep(0.001)
    job.percent(20)
    return job


def forks_and_goes_on(url: str, namespace: str) -> None:
    """Both leave as programs do."""
    job = holding(streamproc.connect(url, namespace=namespace, min_interval=HOUR))
    child = os.fork()
    with job.unit("parent" if child else "child"):
        if child:
            os.waitpid(child, 0)


def processes(url: str, namespace: str, method: str) -> None:
    """A process gets what may be handed over, and so do those of a pool."""
    context: Any = multiprocessing.get_context(method)
    with streamproc.connect(url, namespace=namespace, min_interval=HOUR) as sp, holding(sp) as job:
        with job.stage("Parse") as stage, job.unit("doc", attempt=2) as unit:
            child = context.Process(target=_given, args=(sp, job, stage, unit))
            child.start()
            child.join()
        with context.Pool(2) as pool:
            pool.starmap(_member, [(job, number) for number in range(4)], chunksize=1)
            pool.close()
            pool.join()
    assert child.exitcode == 0


def _given(sp: Producer, job: Job, stage: Stage, unit: Unit) -> None:
    job.note("child")
    stage.percent(30)
    unit.count("pages", done=3)
    sp.job("k").start()


def _member(job: Job, number: int) -> None:
    job.indicator("members").done(number)


# Ends --------------------------------------------------------------------------------------------------------------


def ends(url: str, namespace: str) -> None:
    holding(streamproc.connect(url, namespace=namespace, min_interval=HOUR))


def exits_in_a_pool(url: str, namespace: str) -> None:
    sp = streamproc.connect(url, namespace=namespace)

    def work() -> None:
        with sp.job("j"):
            sys.exit(3)

    ThreadPoolExecutor(1).submit(work)


def raises(url: str, namespace: str) -> None:
    with streamproc.connect(url, namespace=namespace).job("j") as job, job.stage("Parse"):
        raise ValueError("page 12 unreadable")


def leaves_by_a_handler(url: str, namespace: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    with streamproc.connect(url, namespace=namespace).job("j") as job:
        job.percent(10)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(WATCH_SECONDS)


def leaves_daemons(url: str, namespace: str) -> None:
    """Threads report when the interpreter ends, and are ended with it."""
    job = streamproc.connect(url, namespace=namespace).job("j").start()
    reporting = threading.Event()

    def report() -> None:
        while True:
            job.indicator("rows").done()
            job.percent(50)
            reporting.set()

    for _ in range(2):
        threading.Thread(target=report, daemon=True).start()
    reporting.wait()


def is_ended(url: str, namespace: str, how: str) -> None:
    """Nothing of ours runs at such an end: what was flushed is there."""
    sp = streamproc.connect(url, namespace=namespace, min_interval=HOUR)
    job = holding(sp)
    sp.flush()
    job.percent(30)
    if how == "at once":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(WATCH_SECONDS)


# Without a server --------------------------------------------------------------------------------------------------


def says_much(buffer_bytes: str) -> None:
    """Writes how many bytes of memory it took to say much, about a job with many units and about many jobs."""
    memory = psutil.Process().memory_info
    sp = streamproc.connect(NOBODY, required=False, buffer_bytes=int(buffer_bytes), flush_seconds=0)
    job = sp.job("j").start()
    job.percent(0)
    assert not sp.flush(0.1)  # what that takes, it takes once
    before = most = memory().rss
    for number in range(10_000):
        with job.unit(f"unit {number}") as unit:
            for percent in range(10):
                unit.percent(percent, "at it")
            unit.count("rows", done=1)
        with sp.job(f"job-{number}") as other:
            other.percent(50)
        if number % 100 == 0:
            most = max(most, memory().rss)
    sys.stdout.write(str(most - before))
    sys.stdout.flush()
    os._exit(0)


def says_much_on_a_small_disk(url: str, namespace: str, room: str) -> None:
    """Each file may have so many bytes. Says when it has said it all, and then waits for a server."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), most))
    with streamproc.connect(url, namespace=namespace, required=False, buffer_bytes=20_000) as sp:
        with sp.job("j") as job:
            for number in range(2000):
                with job.unit(str(number)) as unit:
                    unit.percent(50)
                    unit.count("rows", done=1)
        sys.stdout.write("said\n")
        sys.stdout.flush()
        assert sp.flush(WATCH_SECONDS)


PROGRAMS: dict[str, Callable[..., None]] = {
    program.__name__: program
    for program in (
        forks,
        forks_and_goes_on,
        processes,
        ends,
        exits_in_a_pool,
        raises,
        leaves_by_a_handler,
        leaves_daemons,
        is_ended,
        says_much,
        says_much_on_a_small_disk,
    )
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
