"""What becomes of claims when processes die: of gateways in the middle of one, and of workers."""

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from streamproc.client import http_settings
from streamproc.config import Config
from tests.support.processes import Gateway
from tests.support.producing import LogReader, wait_until
from tests.support.running import projecting
from tests.support.servers import Server
from tests.support.stack import Stack


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


Post = Callable[..., httpx.Response]


@pytest.fixture
def post() -> Iterator[Post]:
    with httpx.Client(timeout=30, **http_settings("http://127.0.0.1", None)) as http:
        yield lambda url, path, **body: http.post(url + path, json=body)


def test_a_gateway_that_dies_in_a_claim_leaves_the_job_to_the_next_worker(
    server: Server, namespace: str, portal: BlockingPortal, post: Post
) -> None:
    config = Config(redis=server.url, namespace=namespace)
    first, second = Gateway(server.url, namespace).start(), Gateway(server.url, namespace).start()
    try:
        with LogReader(server.url, namespace) as log:
            with portal.wrap_async_context_manager(projecting(config)):
                assert post(first.url, "/v1/jobs", job_id="a", params=[1]).status_code == 201
            # No projector is there, so the gateway waits for the claim to be folded, and dies.
            failed = threading.Event()

            def claim() -> None:
                try:
                    post(first.url, "/v1/claims", worker="w1", lease_seconds=1)
                except httpx.HTTPError:
                    failed.set()

            thread = threading.Thread(target=claim)
            thread.start()
            wait_until(lambda: log.types("a") == ["job.queued", "job.claimed"])
            first.kill()
            thread.join()
            assert failed.is_set()
            assert post(second.url, "/v1/claims", worker="w2").status_code == 204
            with portal.wrap_async_context_manager(projecting(config)):
                claimed = post(second.url, "/v1/claims", worker="w2", wait=20)
                assert claimed.status_code == 200
                answer = claimed.json()
                assert (answer["job"]["job_id"], answer["params"], answer["attempt"]) == ("a", [1], 2)
    finally:
        first.kill()
        second.kill()


def test_many_workers_of_which_some_die_do_each_job_to_its_end(stack: Stack, job_id: str, post: Post) -> None:
    """Every third worker dies with its first job in hand. Each job finishes once, in the attempt of its last claim."""
    jobs = [f"{job_id}-{number}" for number in range(24)]
    for number, job in enumerate(jobs):
        post(stack.http, "/v1/jobs", job_id=job, kind=job_id, priority=number % 3).raise_for_status()
    done: list[tuple[str, str, int]] = []
    deadline = time.monotonic() + 40

    def work(number: int) -> None:
        worker = f"w{number}"
        while len(done) < len(jobs) and time.monotonic() < deadline:
            response = post(stack.http, "/v1/claims", worker=worker, kinds=[job_id], lease_seconds=1, wait=0.5)
            if response.status_code != 200:
                continue
            claimed = response.json()
            job, attempt = claimed["job"]["job_id"], claimed["attempt"]
            said = {"job": job, "worker": worker, "attempt": attempt}
            if number % 3 == 0:
                return
            assert post(stack.http, "/v1/events", **said, type="job.finished").status_code == 201
            done.append((job, worker, attempt))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job for job, _, _ in done) == sorted(jobs)
    for job, worker, attempt in done:
        stack.wait_for(job, status="finished", worker=worker, attempt=attempt)
        holders = [event["worker"] for event in stack.log.events(job) if event["type"] == "job.claimed"]
        assert len(holders) == attempt
    assert sum(attempt - 1 for _, _, attempt in done) == 3
