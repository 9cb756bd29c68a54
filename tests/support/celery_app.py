"""A Celery app, as a project would have it: what the workers of test_integration_celery run."""

import os
import time
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Reject

import streamproc
from streamproc.integrations.celery import install
from tests.support.tasks import celery_settings

app = Celery("shop")
app.conf.update(celery_settings(os.environ["BROKER"], os.environ["QUEUE"]))
install(app, streamproc.connect(namespace=os.environ["NAMESPACE"], required=False, min_interval=0))


@app.task(bind=True)
def imports(self: Any, rows: int) -> int:
    self.progress.items(rows - 1, rows, "nearly")
    job = streamproc.current_job()
    assert job is self.progress
    return rows


@app.task
def fails() -> None:
    raise ValueError("disk full")


@app.task(bind=True, autoretry_for=(ValueError,), retry_kwargs={"countdown": 0})
def is_tried_again(self: Any) -> str:
    self.progress.percent(50)
    if self.request.retries == 0:
        raise ValueError("disk full")
    return "at last"


@app.task(bind=True)
def tries_again(self: Any) -> None:
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task(bind=True, autoretry_for=(Exception,), retry_kwargs={"countdown": 0})
def stops(self: Any) -> None:
    self.progress.percent(50)
    raise streamproc.JobCanceled("enough")


@app.task(bind=True, autoretry_for=(Exception,), retry_kwargs={"countdown": 0})
def stops_when_asked(self: Any) -> None:
    while True:
        self.progress.checkpoint()
        time.sleep(0.01)


@app.task(bind=True)
def never_ends(self: Any) -> None:
    self.progress.percent(50)
    while True:
        time.sleep(0.01)


@app.task(bind=True, acks_late=True)
def comes_again(self: Any) -> None:
    self.progress.percent(50)
    if not self.request.delivery_info["redelivered"]:
        raise Reject("not now", requeue=True)


@app.task(bind=True)
def is_replaced(self: Any) -> Any:
    return self.replace(imports.si(3))


@app.task
def is_ignored() -> None:
    raise Ignore("not needed")


class OwnBase(Task):
    """A base class of the project's own, which knows nothing of progress."""


@app.task(base=OwnBase)
def has_own_base() -> None:
    job = streamproc.current_job()
    assert job is not None
    job.percent(50)
