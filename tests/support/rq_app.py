"""What test_integration_rq enqueues: functions, and a job class as a project would configure it for its workers."""

import asyncio
import os
import time
from typing import Any

import rq

import streamproc
from streamproc.integrations.rq import Job


class ShopJob(Job):
    sp = streamproc.connect(namespace=os.environ.get("NAMESPACE", "sp"), required=False, min_interval=0)


def progress() -> streamproc.Job:
    job = streamproc.current_job()
    assert isinstance(job, streamproc.Job)
    return job


def this() -> rq.job.Job:
    job = rq.get_current_job()
    assert job is not None
    return job


def imports(rows: int) -> int:
    progress().items(rows - 1, rows, "nearly")
    this().meta["seen"] = True
    this().save_meta()
    return rows


async def waits() -> None:
    await asyncio.sleep(0)
    progress().percent(50)


def fails() -> None:
    raise ValueError("disk full")


def fails_at_first() -> str:
    progress().percent(50)
    if this().connection.incr(f"tries of {this().id}") == 1:
        raise ValueError("disk full")
    return "at last"


def asks_for_another_try(times: int) -> Any:
    return rq.Retry(max=1) if this().connection.incr(f"tries of {this().id}") <= times else "at last"


def stops() -> None:
    raise streamproc.JobCanceled("enough")


def never_ends() -> None:
    progress().percent(50)
    while True:
        time.sleep(0.01)


def odd() -> Any:
    return {1: complex(1, 2)}
