"""Which job, stage or unit the running code is in: `current` and `current_job`."""

import contextvars
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress

import anyio
import pytest

import streamproc
from streamproc import JobCanceled, Producer, current, current_job


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


def test_it_is_the_innermost_that_with_has_entered(sp: Producer) -> None:
    assert (current(), current_job()) == (None, None)
    with sp.job("outer") as outer:
        assert (current(), current_job()) == (outer, outer)
        with outer.stage("Parse") as stage:
            assert (current(), current_job()) == (stage, outer)
            with outer.unit("doc") as unit, sp.job("inner") as inner:
                assert (current(), current_job()) == (inner, inner)
                with inner.stage("Deep") as deep:
                    assert (current(), current_job()) == (deep, inner)
            assert current() is stage
            assert unit is not current()
        assert current() is outer
    assert (current(), current_job()) == (None, None)


def test_a_job_that_is_only_started_is_not_it(sp: Producer) -> None:
    job = sp.job("j").start()
    assert current() is None
    job.finish()


def test_an_exception_leaves_it_too(sp: Producer) -> None:
    def work() -> None:
        with sp.job("j") as job, job.stage("Parse"):
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        work()
    assert current() is None
    with sp.job("k") as job:
        with suppress(JobCanceled), job.stage("Parse"):
            raise JobCanceled
        assert current() is job


def test_a_thread_begins_with_none_unless_it_is_given_the_context(sp: Producer) -> None:
    seen = []
    with sp.job("j") as job:
        for run in (lambda work: work(), contextvars.copy_context().run):
            thread = threading.Thread(target=run, args=(lambda: seen.append(current()),))
            thread.start()
            thread.join()
    assert seen == [None, job]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tasks_have_what_they_began_with_and_their_own(
    server_url: str, namespace: str, anyio_backend: str
) -> None:
    async with streamproc.connect_async(server_url, namespace=namespace) as sp:

        async def work(name: str) -> None:
            assert current() is whole
            async with whole.unit(name) as unit:
                await anyio.wait_all_tasks_blocked()
                assert current() is unit
                assert current_job() is whole

        async with sp.job("j") as whole:
            async with anyio.create_task_group() as tasks:
                for name in "abc":
                    tasks.start_soon(work, name)
            assert current() is whole


def test_a_generator_that_ends_elsewhere_leaves_nothing_behind(sp: Producer) -> None:
    def rows() -> Generator[int, None, None]:
        with sp.job("j"):
            yield 1
            yield 2

    generator = rows()
    assert next(generator) == 1
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()
    assert current_job() is None
    with sp.job("k") as job:
        assert current() is job


def test_a_part_whose_with_was_never_left_is_not_current_once_its_job_has_ended(sp: Producer) -> None:
    with sp.job("j") as job:
        part = job.unit("interrupted").__enter__()
        assert current() is part
    assert current() is None
    with sp.job("k") as other:
        assert current() is other


def test_a_generator_keeps_the_order_of_those_around_it(sp: Producer) -> None:
    def rows() -> Generator[int, None, None]:
        with sp.job("inner"):
            yield 1

    with sp.job("outer") as outer:
        generator = rows()
        next(generator)
        generator.close()
        assert current() is outer
    assert current() is None
