"""How wishes are heard: an event loop in a thread, over one subscription for all jobs of the process.

Over Redis the doorbell of a job brings its snapshot, which says what is requested; jobs are also read when the
connection is new, and every few seconds, since doorbells may be lost. Over HTTP a live stream is of up to 200 jobs.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from streamproc.connection import Redis, connect
from streamproc.errors import CallerError, ServerError, ServerUnavailable
from streamproc.keys import Keys
from streamproc.log import open_namespace
from streamproc.producer.settings import Settings
from streamproc.producer.wishes import Wishes
from streamproc.store import Store
from streamproc.subscription import Subscription

if TYPE_CHECKING:
    from streamproc.client import Client

__all__ = ["Listening"]

_ROUND_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 1.0
_MOST_JOBS: Final = 200
"""Of one stream."""
_AT_ONCE: Final = 500

T = TypeVar("T")

_log = logging.getLogger("streamproc")


class _Wish(msgspec.Struct):
    requested: str | None = None
    attempt: int = 1
    status: str = ""


_read_wish: Final = msgspec.json.Decoder(_Wish).decode


class _Stream:
    """A live stream of some jobs."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self.jobs = set(jobs)
        self.scope = anyio.CancelScope()


class Listening:
    """Follows the jobs of some wishes. See `Listener`."""

    def __init__(self, settings: Settings, wishes: Wishes) -> None:
        self._settings = settings
        self._wishes = wishes
        self._thread = threading.Thread(target=self._run, name="streamproc-listener", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change, self._end = asyncio.Event(), asyncio.Event()
        self._looking: set[str] = set()

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def changed(self) -> None:
        self._signal(self._change)

    def stop(self) -> None:
        self._signal(self._end)
        if threading.current_thread() is not self._thread:  # as on_request may close the connection
            self._thread.join(_STOP_SECONDS)

    def _signal(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(event.set)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        while not self._end.is_set():
            self._change.set()
            try:
                await self._listen()
            except Exception:  # noqa: BLE001  (ours or a library's: without this thread no wish is heard any more)
                _log.exception("what is asked of jobs isn't heard for a moment")
                await anyio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        if self._settings.over_http:
            from streamproc.client import open_gateway  # httpx, which takes a while

            async with open_gateway(self._settings.url, self._settings.token) as gateway:
                await self._until_end(self._over_http, gateway)
        else:
            async with connect(self._settings.url) as client:
                await self._until_end(self._over_redis, client)

    async def _until_end(self, follow: Callable[[T, TaskGroup], Coroutine[Any, Any, None]], client: T) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, client, tasks)
            await self._end.wait()
            tasks.cancel_scope.cancel()

    # Over Redis --------------------------------------------------------------------------------------------------

    async def _over_redis(self, client: Redis, tasks: TaskGroup) -> None:
        keys, doubtful, following = await self._keys(client), set[str](), set[str]()

        def heard(channel: bytes, message: bytes) -> None:
            job = channel.decode().partition(":live:")[2]
            self._looking.discard(job)
            self._see(job, message)

        def restored() -> None:
            doubtful.update(self._wishes.watched())
            self._change.set()

        subscription = Subscription(self._settings.url, heard, restored, outages=logging.DEBUG)
        tasks.start_soon(subscription.run)
        store = Store(client, keys)
        while True:
            with anyio.move_on_after(_ROUND_SECONDS) as waiting:
                await self._change.wait()
            self._change.clear()
            watched = set(self._wishes.watched())
            new = watched - following
            doubtful |= watched if waiting.cancelled_caught else new
            doubtful &= watched
            try:
                await self._look(store, doubtful)  # at once, as somebody may wait for it
                await self._subscribe(subscription, keys, following, watched)
                doubtful |= new  # for what came before the subscription
                await self._look(store, doubtful)
                if waiting.cancelled_caught:
                    await subscription.ping()
            except ServerError as error:
                _log.debug("what is asked of jobs isn't known: %s", error)
                await anyio.sleep(_RETRY_SECONDS)
                self._change.set()

    async def _keys(self, client: Redis) -> Keys:
        while True:
            try:
                return await open_namespace(client, self._settings.namespace, self._settings.partitions)
            except ServerError as error:
                _log.debug("what is asked of jobs isn't known: %s", error)
                await anyio.sleep(_RETRY_SECONDS)

    async def _subscribe(self, subscription: Subscription, keys: Keys, following: set[str], watched: set[str]) -> None:
        """Subscribe to what is watched now and wasn't, and the other way round."""
        changed = following ^ watched
        for job in changed:
            channel = keys.of(job).live(job)
            with suppress(ServerUnavailable):  # it is subscribed to once the server is there, and `restored` called
                await (subscription.subscribe if job in watched else subscription.unsubscribe)(channel)
        following ^= changed

    async def _look(self, store: Store, doubtful: set[str]) -> None:
        while doubtful:
            jobs = [doubtful.pop() for _ in range(min(len(doubtful), _AT_ONCE))]
            self._looking = set(jobs)
            try:
                found = await store.current(jobs)
            except ServerError:
                doubtful.update(jobs)
                raise
            for job, (_, snapshot) in zip(jobs, found, strict=True):
                if job in self._looking:  # a doorbell that has come meanwhile is newer
                    self._see(job, snapshot)

    # Over HTTP ---------------------------------------------------------------------------------------------------

    async def _over_http(self, gateway: "Client", tasks: TaskGroup) -> None:
        streams: list[_Stream] = []
        while True:
            await self._change.wait()
            self._change.clear()
            watched = set(self._wishes.watched())
            for stream in streams:
                stream.jobs &= watched  # for when it connects again
                if not stream.jobs:
                    stream.scope.cancel()
            streams = [stream for stream in streams if stream.jobs]
            new = watched.difference(*(stream.jobs for stream in streams))
            if new and streams and len(streams[-1].jobs) + len(new) <= _MOST_JOBS:
                last = streams.pop()  # begun anew with all of them
                last.scope.cancel()
                new |= last.jobs
            jobs = sorted(new)
            for first in range(0, len(jobs), _MOST_JOBS):
                streams.append(_Stream(jobs[first : first + _MOST_JOBS]))
                tasks.start_soon(self._follow, gateway, streams[-1], tasks)

    async def _follow(self, gateway: "Client", stream: "_Stream", tasks: TaskGroup) -> None:
        with stream.scope:
            while True:
                try:
                    async for change in gateway.follow({"job": sorted(stream.jobs)}):
                        if change.snapshot is None:
                            tasks.start_soon(self._leave, stream, change.job)
                        else:
                            self._see(change.job, change.snapshot)
                except (ServerError, CallerError) as error:
                    _log.debug("what is asked of jobs isn't known: %s", error)
                await anyio.sleep(_RETRY_SECONDS)

    async def _leave(self, stream: "_Stream", job: str) -> None:
        """A job that has ended may be begun anew: follow it again, if it is watched for a while longer."""
        await anyio.sleep(_RETRY_SECONDS)
        stream.jobs.discard(job)
        self._change.set()

    def _see(self, job: str, snapshot: bytes | None) -> None:
        wish = None
        try:
            if snapshot is not None:
                seen = _read_wish(snapshot)
                wish = "cancel" if self._wishes.has_lost(job, seen.attempt, seen.status) else seen.requested
        except msgspec.DecodeError as error:
            _log.warning("job %s holds no snapshot: %s", job, error)
        self._wishes.update(job, wish)
