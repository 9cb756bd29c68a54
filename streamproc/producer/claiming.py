"""Claiming the next queued job, through a gateway: what is asked, what comes back, and when to ask again."""

import os
import secrets
import socket
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import Struct

from streamproc.errors import ConfigError, ServerError
from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.settings import Settings

__all__ = ["LEASE_SECONDS", "RETRY_SECONDS", "Claiming", "Taken"]

LEASE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
"""How long a gateway that can't serve is left alone."""
_MOST_SECONDS: Final = 30.0
"""A gateway is asked for so long at once."""


class _Job(Struct):
    job_id: str


class Taken(Struct):
    """What a gateway says of a claim."""

    job: _Job
    params: Any
    worker: str
    attempt: int
    lease_seconds: float

    @property
    def facts(self) -> Event:
        """What all that is said of the job carries."""
        return Event(job=self.job.job_id, type="job.started", worker=self.worker, attempt=self.attempt)


class Claiming:
    """One call of `Producer.claim`, checked.

    Raises:
        ConfigError: the connection doesn't go through a gateway.
        ValueError, TypeError: an argument can't be; the message names it.
    """

    def __init__(
        self,
        settings: Settings,
        kinds: str | Iterable[str] | None,
        worker: str | None,
        lease_seconds: float,
        wait: float | None,
    ) -> None:
        if not settings.over_http:
            raise ConfigError("claims go through a gateway: connect to its http:// or https:// URL")
        named = [kinds] if isinstance(kinds, str) else list(kinds or ())
        self._asked = {
            "worker": checks.name("worker", _this_process() if worker is None else worker),
            "kinds": [checks.name("kind", kind) for kind in named],
            "lease_seconds": checks.finite("lease_seconds", lease_seconds),
        }
        if not 1 <= lease_seconds <= 86_400:
            raise ValueError("lease_seconds: must be 1 to 86400")
        self._deadline = float("inf") if wait is None else monotonic() + checks.finite("wait", wait)

    @property
    def left(self) -> float:
        """For how many seconds to ask yet; 0 where the time is over."""
        return max(0.0, self._deadline - monotonic())

    def body(self) -> tuple[bytes, float]:
        """What to ask now, and for how long its answer may be waited for, in seconds."""
        wait = min(self.left, _MOST_SECONDS)
        return msgspec.json.encode(self._asked | {"wait": wait}), wait

    @staticmethod
    def read(answer: bytes) -> Taken | None:
        """What came back; None where there was no job. Raises `ServerError`."""
        try:
            return msgspec.json.decode(answer, type=Taken) if answer else None
        except msgspec.DecodeError as error:
            raise ServerError(f"what answers a claim isn't a streamproc gateway: {error}") from error


def _this_process() -> str:
    """A name that no other process has."""
    return f"{socket.gethostname()[:200]}-{os.getpid()}-{secrets.token_hex(2)}"
