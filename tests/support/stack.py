"""A projector and a gateway in a thread of their own, for tests that block or that run on trio."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from streamproc.config import Config
from tests.support.gateways import PARTITIONS, Service, serving, serving_with_projector
from tests.support.producing import LogReader, wait_until

__all__ = ["Stack", "gateway_on", "running_stack"]


class Stack:
    """What runs, and what tests ask of it."""

    def __init__(self, redis: str, service: Service) -> None:
        self.redis = redis
        self.http = str(service.http.base_url).rstrip("/")
        self.namespace = service.config.namespace
        self.config = service.config
        self.log = LogReader(redis, self.namespace, PARTITIONS)
        self._client = httpx.Client(base_url=self.http, trust_env=False)

    def close(self) -> None:
        self._client.close()
        self.log.client.close()

    def said(self, job: str) -> list[dict[str, Any]]:
        """What has been said of a job, without what differs from one session to the next."""
        left_out = ("job", "src", "seq", "at")
        return [
            {name: value for name, value in event.items() if name not in left_out} for event in self.log.events(job)
        ]

    def ask(self, job: str, wish: str, **fields: Any) -> None:
        """Ask a job to ``pause``, ``resume`` or ``cancel``."""
        self._client.post("/v1/events", json={"job": job, "type": f"job.{wish}_requested"} | fields).raise_for_status()

    def snapshot(self, job: str) -> dict[str, Any]:
        """What the gateway serves of a job; nothing where there is none."""
        found: dict[str, Any] = self._client.get(f"/v1/jobs/{job}").json()
        return found if "job_id" in found else {}

    def wait_for(self, job: str, **fields: Any) -> None:
        """Wait until a snapshot has these fields."""
        wait_until(lambda: self.snapshot(job).items() >= fields.items())


@contextmanager
def running_stack(redis: str) -> Iterator[Stack]:
    """A namespace of its own, projected and served."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving_with_projector(redis, f"t{secrets.token_hex(4)}")) as service,
    ):
        stack = Stack(redis, service)
        yield stack
        stack.close()


@contextmanager
def gateway_on(portal: BlockingPortal, config: Config) -> Iterator[None]:
    """One more gateway, until the ``with`` ends."""
    with portal.wrap_async_context_manager(serving(config)):
        yield
