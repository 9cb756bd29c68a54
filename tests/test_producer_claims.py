"""Claims with the SDK: a worker takes jobs through a gateway, keeps them by heartbeats, and hears what is asked."""

from collections.abc import Iterator

import httpx
import pytest

import streamproc
from streamproc import ConfigError, JobCanceled, Producer, ServerUnavailable
from tests.support.producing import wait_until
from tests.support.servers import free_port
from tests.support.stack import Stack

pytestmark = pytest.mark.anyio


@pytest.fixture
def sp(stack: Stack) -> Iterator[Producer]:
    with streamproc.connect(stack.http, heartbeat_interval=0, min_interval=0) as connection:
        yield connection


def post(stack: Stack, path: str, **body: object) -> httpx.Response:
    return httpx.post(f"{stack.http}{path}", json=body, trust_env=False)


def queue(stack: Stack, job: str, **fields: object) -> str:
    """Queue a job of a kind of its own, which is returned."""
    post(stack, "/v1/jobs", job_id=job, kind=job, **fields).raise_for_status()
    return job


def test_a_worker_takes_a_job_and_reports_on_it_as_who_it_is(stack: Stack, sp: Producer, job_id: str) -> None:
    kind = queue(stack, job_id, params={"file": "x.csv"})
    job = sp.claim(kind, worker="w1")
    assert job is not None
    with job:
        assert (job.id, job.params) == (job_id, {"file": "x.csv"})
        job.percent(50)
    events = stack.log.events(job_id)
    assert [event["type"] for event in events] == ["job.queued", "job.claimed", "job.progressed", "job.finished"]
    assert all((event["worker"], event["attempt"]) == ("w1", 1) for event in events[1:])
    stack.wait_for(job_id, status="finished", worker="w1")
    assert sp.claim(kind) is None


def test_heartbeats_renew_a_lease_even_where_there_would_be_none(stack: Stack, sp: Producer, job_id: str) -> None:
    job = sp.claim(queue(stack, job_id), lease_seconds=1)
    assert job is not None
    with job:
        wait_until(lambda: stack.log.types(job_id).count("job.heartbeat") >= 12)
    assert "job.released" not in stack.log.types(job_id)
    stack.wait_for(job_id, status="finished")


def test_a_job_whose_worker_has_forgotten_it_is_the_next_ones(stack: Stack, sp: Producer, job_id: str) -> None:
    kind = queue(stack, job_id)
    assert sp.claim(kind, worker="w1", lease_seconds=1) is not None
    job = sp.claim(kind, worker="w2", wait=20)
    assert job is not None
    with job:
        pass
    stack.wait_for(job_id, status="finished", worker="w2", attempt=2)


def test_a_worker_that_has_lost_its_job_is_told_to_stop(stack: Stack, sp: Producer, job_id: str) -> None:
    job = sp.claim(queue(stack, job_id), worker="w1")
    assert job is not None
    assert job.requested is None
    assert post(stack, f"/v1/jobs/{job_id}/release", worker="w1").status_code == 202
    wait_until(lambda: job.requested == "cancel")
    with pytest.raises(JobCanceled), job:
        job.checkpoint()
    stack.wait_for(job_id, status="queued")


def test_a_worker_waits_for_a_job(stack: Stack, sp: Producer, job_id: str) -> None:
    assert sp.claim(job_id, wait=0.2) is None
    queue(stack, job_id)
    job = sp.claim([job_id, "another"], wait=None)
    assert job is not None
    job.finish()


async def test_the_async_twin_claims_as_well(stack: Stack, job_id: str) -> None:
    async with streamproc.connect_async(stack.http) as sp:
        assert await sp.claim(job_id) is None
        queue(stack, job_id, params=[1])
        job = await sp.claim(job_id, worker="w1", wait=10)
        assert job is not None
        async with job:
            assert job.params == [1]
    stack.wait_for(job_id, status="finished", worker="w1", attempt=1)


def test_what_cannot_be_asked_is_refused_at_once(stack: Stack, sp: Producer) -> None:
    with pytest.raises(ValueError, match="lease_seconds"):
        sp.claim(lease_seconds=0.5)
    with pytest.raises(ValueError, match="kind"):
        sp.claim(["a\nb"])
    with (
        streamproc.connect(stack.redis, namespace=stack.namespace) as direct,
        pytest.raises(ConfigError, match="gateway"),
    ):
        direct.claim()
    with (
        streamproc.connect(f"http://127.0.0.1:{free_port()}", required=False) as nowhere,
        pytest.raises(ServerUnavailable),
    ):
        nowhere.claim()


# Control, end to end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["http", "redis"])
def test_what_is_asked_over_http_arrives_at_the_worker(stack: Stack, job_id: str, over: str) -> None:
    url = stack.http if over == "http" else stack.redis

    def work() -> None:
        with streamproc.connect(url, namespace=stack.namespace) as sp, sp.job(job_id) as job:
            stack.wait_for(job_id, status="started")
            assert job.requested is None
            assert post(stack, f"/v1/jobs/{job_id}/cancel", by="ann").status_code == 202
            wait_until(lambda: job.requested == "cancel")
            job.checkpoint()

    with pytest.raises(JobCanceled):
        work()
    stack.wait_for(job_id, status="canceled")
    assert post(stack, f"/v1/jobs/{job_id}/cancel").status_code == 409
