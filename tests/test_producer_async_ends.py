"""How ``async with`` ends a job: by what has happened to its task, and delivered whatever has."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import streamproc
from streamproc import AsyncProducer, JobCanceled
from streamproc.append import Appender
from tests.support.stack import Stack


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
async def sp(stack: Stack) -> AsyncIterator[AsyncProducer]:
    async with streamproc.connect_async(stack.redis, namespace=stack.namespace, min_interval=0) as connection:
        yield connection


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes its time: what isn't waited for isn't there yet."""
    append = Appender.append

    def slowly(self: Appender, batch: list[tuple[str, bytes]]) -> Any:
        time.sleep(0.1)
        return append(self, batch)

    monkeypatch.setattr(Appender, "append", slowly)


async def test_the_end_of_a_job_is_delivered_when_its_with_is_left(
    stack: Stack, sp: AsyncProducer, job_id: str, slow: None
) -> None:
    async with sp.job(job_id):
        pass
    assert stack.log.types(job_id) == ["job.started", "job.finished"]


async def test_an_exception_reports_failure_and_goes_on_up(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    error = ValueError("page 12 unreadable")
    with pytest.raises(ValueError, match="page 12") as raised:
        async with sp.job(job_id) as job, job.stage("Parse"), job.unit("doc"):
            raise error
    assert raised.value is error
    failed = stack.said(job_id)[-3:]
    assert [event["type"] for event in failed] == ["unit.failed", "stage.failed", "job.failed"]
    assert all(event["error"] == {"type": "ValueError", "detail": "page 12 unreadable"} for event in failed)


async def test_a_task_that_follows_a_wish_cancels_the_job_of_its_group(
    stack: Stack, sp: AsyncProducer, job_id: str
) -> None:
    async def follow() -> None:
        raise JobCanceled("enough")

    async def work() -> None:
        async with sp.job(job_id), anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            tasks.start_soon(anyio.sleep_forever)

    with pytest.raises(BaseExceptionGroup):
        await work()
    assert stack.said(job_id)[-1] == {"type": "job.canceled", "reason": "enough"}


async def test_the_errors_of_a_task_group_are_told_one_by_one(stack: Stack, sp: AsyncProducer, job_id: str) -> None:
    async def fail(error: Exception) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    async def work(name: str, *errors: Exception) -> None:
        async with sp.job(name), anyio.create_task_group() as tasks:
            for error in errors:
                tasks.start_soon(fail, error)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    with pytest.raises(BaseExceptionGroup):
        await work(f"{job_id}-1", ValueError("odd"))
    with pytest.raises(BaseExceptionGroup):
        await work(f"{job_id}-2", ValueError("odd"), JobCanceled())
    only, several = stack.said(f"{job_id}-1")[-1], stack.said(f"{job_id}-2")[-1]
    assert only == {"type": "job.failed", "error": {"type": "ValueError", "detail": "odd"}}
    assert (several["type"], several["error"]["type"]) == ("job.failed", "ExceptionGroup")
    told = several["error"]["detail"].split("; ")
    assert sorted(told) == ["JobCanceled: the job was asked to stop", "ValueError: odd"]


async def test_a_task_that_is_canceled_cancels_its_job_and_the_end_is_delivered(
    stack: Stack, sp: AsyncProducer, job_id: str, slow: None
) -> None:
    with anyio.CancelScope() as scope:
        async with sp.job(job_id) as job, job.unit("doc"):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    *_, unit, end = stack.said(job_id)
    assert end == {"type": "job.canceled", "reason": "its task was canceled"}
    assert (unit["type"], unit["error"]["detail"]) == ("unit.failed", "its task was canceled")


async def test_a_blocking_job_in_a_task_that_is_canceled_is_canceled_too(stack: Stack, job_id: str) -> None:
    with streamproc.connect(stack.redis, namespace=stack.namespace) as sp, anyio.CancelScope() as scope, sp.job(job_id):
        scope.cancel()
        await anyio.sleep_forever()
    assert stack.log.types(job_id)[-1] == "job.canceled"


async def test_a_unit_that_takes_too_long_fails_and_its_job_goes_on(
    stack: Stack, sp: AsyncProducer, job_id: str
) -> None:
    async with sp.job(job_id) as job:
        with anyio.move_on_after(0.01):
            async with job.unit("slow"):
                await anyio.sleep_forever()
    assert stack.log.types(job_id)[-2:] == ["unit.failed", "job.finished"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation_cancels_the_job(
    stack: Stack, sp: AsyncProducer, job_id: str, slow: None
) -> None:
    async def work() -> None:
        async with sp.job(job_id):
            await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stack.said(job_id)[-1] == {"type": "job.canceled", "reason": "its task was canceled"}


async def test_closing_delivers_even_when_canceled(stack: Stack, job_id: str, slow: None) -> None:
    with anyio.CancelScope() as scope:
        async with streamproc.connect_async(stack.redis, namespace=stack.namespace) as sp:
            sp.job(job_id).note("the last word")
            scope.cancel()
            await anyio.sleep_forever()
    assert stack.log.types(job_id) == ["job.noted"]
