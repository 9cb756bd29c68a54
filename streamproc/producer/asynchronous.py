"""The SDK for asyncio and trio: the same words as the blocking one.

Reports are plain calls in both, as they only queue; what waits is awaited here: the ends of ``async with``,
`AsyncJob.checkpoint`, `AsyncProducer.flush`, `open` and `close`. Waiting is looking again and again, a few milliseconds
apart at first: there is no loop of ours to be woken by, and it can be cancelled anywhere.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import checkpoint, current_token

from streamproc.errors import JobCanceled, ServerError, ServerUnavailable
from streamproc.producer import checks
from streamproc.producer.claiming import LEASE_SECONDS, RETRY_SECONDS, Claiming
from streamproc.producer.client import Producer, job_facts
from streamproc.producer.finding import Looks
from streamproc.producer.found import JobSnapshot
from streamproc.producer.job import AFTER_PAUSE, AnyJob, OnRequest
from streamproc.producer.settings import BUFFER_BYTES, Settings
from streamproc.producer.tracked import Tracked

__all__ = ["AsyncJob", "AsyncProducer", "connect_async"]

_FLUSH_SECONDS: Final = 10.0
_FIRST_LOOK: Final = 0.001
_LAST_LOOK: Final = 0.05
_FIRST_WISH_SECONDS: Final = 0.5


def connect_async(
    url: str | None = None,
    *,
    token: str | None = None,
    namespace: str = "sp",
    partitions: int = 16,
    required: bool = True,
    min_interval: float = 0.1,
    heartbeat_interval: float = 10.0,
    flush_seconds: float = 5.0,
    buffer_bytes: int = BUFFER_BYTES,
) -> "AsyncProducer":
    """As `connect`, to use in ``async with``, or with `AsyncProducer.open` and `close`.

    Raises:
        ConfigError: the URL or another setting can't work. The server is asked only in ``async with``.
    """
    settings = Settings.of(
        url,
        token,
        namespace=namespace,
        partitions=partitions,
        min_interval=min_interval,
        heartbeat_interval=heartbeat_interval,
        flush_seconds=flush_seconds,
        buffer_bytes=buffer_bytes,
    )
    return AsyncProducer(Producer(settings), required)


class AsyncProducer:
    """A connection of this process for asyncio or trio. Use `connect_async` to make one."""

    def __init__(self, producer: Producer, required: bool) -> None:
        self._producer = producer
        self._required = required
        self.settings = producer.settings

    async def __aenter__(self) -> Self:
        if self._required:
            await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """See that the server is there. Raises as `connect` does, and is closed then."""
        await to_thread.run_sync(self._producer.open)

    def job(
        self,
        id: str | None = None,  # noqa: A002  (the caller's word for it)
        *,
        kind: str | None = None,
        title: str | None = None,
        stages: Mapping[str, float] | Iterable[str] | None = None,
        labels: dict[str, str] | None = None,
        owner: str | None = None,
        worker: str | None = None,
        attempt: int | None = None,
        on_request: OnRequest | None = None,
    ) -> "AsyncJob":
        """A job to report on, as `Producer.job`; `on_request` is called in the event loop that this is called in."""
        facts = job_facts(id, kind, title, stages, labels, owner, worker, attempt)
        return self._producer._job(AsyncJob, facts, None if on_request is None else _in_this_loop(on_request))

    async def claim(
        self,
        kinds: str | Iterable[str] | None = None,
        *,
        worker: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        wait: float | None = 0.0,
        on_request: OnRequest | None = None,
    ) -> "AsyncJob | None":
        """As `Producer.claim`. Where it is canceled just as it gets a job, that is another's when the lease is over."""
        from streamproc.client import Refused, open_gateway  # httpx, which takes a while

        claiming = Claiming(self.settings, kinds, worker, lease_seconds, wait)
        told = None if on_request is None else _in_this_loop(on_request)
        async with open_gateway(self.settings.url, self.settings.token) as gateway:
            while True:
                taken = None
                try:
                    taken = claiming.read(await gateway.claim(*claiming.body()))
                except ServerUnavailable:
                    if not claiming.left:
                        raise
                    await anyio.sleep(min(RETRY_SECONDS, claiming.left))
                except Refused as error:
                    raise ServerError(f"the gateway at {gateway.name} refuses us: {error}") from error
                if taken is not None:
                    return self._producer._job(AsyncJob, taken.facts, told)._taken(taken.params, taken.lease_seconds)
                if not claiming.left:
                    return None

    def tracked(self, **attributes: Any) -> Tracked:
        """As `Producer.tracked`."""
        return self._producer.tracked(**attributes)

    async def find(self, id: str) -> JobSnapshot:  # noqa: A002  (the caller's word for it)
        """As `Producer.find`."""
        return await to_thread.run_sync(self._producer.find, id)

    async def watch(self, id: str, *, every: float = 1.0) -> AsyncIterator[JobSnapshot]:  # noqa: A002
        """As `Producer.watch`, for ``async for``."""
        looks = Looks(every)
        while not looks.ended:
            found = await to_thread.run_sync(looks.look, self._producer.find, id)
            if found is not None:
                yield found
            await anyio.sleep(looks.pause)

    @property
    def waiting(self) -> int:
        """How many events are not delivered yet."""
        return self._producer.waiting

    @property
    def coalesced(self) -> int:
        """How many reports were replaced by a later one, summed up or dropped, so far."""
        return self._producer.coalesced

    async def flush(self, timeout: float = _FLUSH_SECONDS) -> bool:  # noqa: ASYNC109  (as of the blocking one)
        """Wait until everything said so far is in the log, up to `timeout` seconds. Whether it is."""
        outbox = self._producer._outbox
        goal = outbox.hasten()
        await _until(lambda: not outbox.missing(goal), timeout)
        return self._producer._flushed(outbox.missing(goal), timeout)

    async def close(self, timeout: float = _FLUSH_SECONDS) -> None:  # noqa: ASYNC109  (as of the blocking one)
        """Deliver what waits, up to `timeout` seconds, and disconnect. Again is harmless."""
        with anyio.CancelScope(shield=True):  # it is bounded, and a canceled task has its end to tell too
            await to_thread.run_sync(self._producer.close, timeout)


class AsyncJob(AnyJob):
    """A job. Made by `AsyncProducer.job`, for ``async with``: see `Job`."""

    async def __aenter__(self) -> Self:
        return self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)
        outbox = self._outbox
        goal = outbox.goal()
        with anyio.CancelScope(shield=True):
            await _until(lambda: outbox.settled(goal), self._producer.settings.flush_seconds)

    @property
    def requested(self) -> str | None:
        """What somebody asks of the job, as far as it is known: ``pause``, ``resume``, ``cancel``, or None."""
        return self._requested()

    async def checkpoint(self) -> None:
        """A place where the job may stop, or wait while it is paused: call it as often as you like.

        Other tasks have their turn, and this one may be canceled here.

        Raises:
            JobCanceled: somebody asked the job to stop.
        """
        await checkpoint()
        wish = self.requested
        if self._wishes.first_is_awaited(self.id):
            await _until(lambda: not self._wishes.first_is_awaited(self.id), _FIRST_WISH_SECONDS)
            self._wishes.waited_first(self.id)
            wish = self.requested
        if wish == "pause":
            self.paused()
            await _until(lambda: self._wishes.found(self.id, AFTER_PAUSE), float("inf"))
            wish = self.requested
            if wish == "resume":
                self.resumed()
        if wish == "cancel":
            raise JobCanceled


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, up to some seconds."""
    deadline = monotonic() + seconds
    pause = _FIRST_LOOK
    while not condition() and (left := deadline - monotonic()) > 0:
        await anyio.sleep(min(pause, left))
        pause = min(2 * pause, _LAST_LOOK)


def _in_this_loop(told: OnRequest) -> OnRequest:
    """The same, called in the loop that runs now, from whatever thread."""
    checks.function("on_request", told)
    token = current_token()

    def tell(wish: str) -> None:
        from_thread.run_sync(told, wish, token=token)

    return tell
