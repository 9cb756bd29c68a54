"""What the routes stand on: the namespace behind a server that may come late, or go for a while."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from streamproc.answers import Answers
from streamproc.auth import Auth, read_auth
from streamproc.claims import Claims
from streamproc.config import Config
from streamproc.connection import Redis, connect, ensure_functions
from streamproc.errors import ServerError, ServerUnavailable
from streamproc.gateway.dialects.overviews import Overviews
from streamproc.gateway.estimates import Estimates
from streamproc.gateway.fanout import Fanout
from streamproc.gateway.hindsight import Hindsight
from streamproc.gateway.overdue import Overdue
from streamproc.gateway.queue import Queue
from streamproc.gateway.sets import Sets
from streamproc.gateway.summaries import Summaries
from streamproc.hub import Hub
from streamproc.inspection import Inspector
from streamproc.keys import Keys
from streamproc.listing import Listing
from streamproc.log import Log, open_namespace
from streamproc.numbers import Numbers
from streamproc.past import Past
from streamproc.projection import AnyProjection, Estimator
from streamproc.runs import Runs
from streamproc.store import Store
from streamproc.vault import Vault

__all__ = ["Backend", "Opened", "open_backend"]

_FIRST_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_logger = logging.getLogger("streamproc.gateway")


class Opened(Struct):
    """A namespace that was opened. It stays so; a server that goes away later shows in each call."""

    keys: Keys
    log: Log
    store: Store
    listing: Listing
    hindsight: Hindsight
    hub: Hub
    fanout: Fanout
    sets: Sets
    estimates: Estimates
    overviews: Overviews
    runs: Runs
    summaries: Summaries
    overdue: Overdue
    claims: Claims
    queue: Queue
    vault: Vault
    answers: Answers
    numbers: Numbers
    inspector: Inspector


class Backend:
    """The namespace of a configuration, as soon as there is a server for it.

    Args:
        config: it is public; routes read their settings there.
        auth: who may use the gateway; None is everybody.
    """

    def __init__(
        self, config: Config, auth: Auth | None, estimator: Estimator, past: Sequence[AnyProjection], client: Redis
    ) -> None:
        self.config = config
        self.auth = auth
        self._estimator = estimator
        self._past = past
        self._client = client
        self._opened: Opened | None = None
        self._why: ServerError = ServerUnavailable("the Redis server hasn't answered yet")
        self._closed = False

    @property
    def shapes(self) -> tuple[type[Struct], ...]:
        """The types of what is served."""
        return self._estimator.shapes

    def get(self) -> Opened:
        """The opened namespace. Raises `ServerError`, saying why there is none."""
        if self._opened is None:
            raise type(self._why)(str(self._why))
        return self._opened

    async def drain(self) -> None:
        """End live streams, spread over some seconds: the gateway is stopping."""
        if self._opened is not None:
            await self._opened.fanout.drain(self.config.drain_seconds)

    def close_streams(self) -> None:
        """End all that waits for something to happen: the gateway is stopping."""
        self._closed = True
        if self._opened is not None:
            self._opened.hub.close()
            self._opened.queue.close()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Open the namespace, trying for as long as it takes, and then watch jobs. Started after the first try."""
        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(_FIRST_SECONDS):
                if await self._open():
                    tasks.start_soon(self.get().queue.run)
                    tasks.start_soon(self.get().fanout.run)
                    tasks.start_soon(self.get().sets.run)
                    await tasks.start(self.get().hub.run)
            task_status.started()
            failures = 0
            while self._opened is None:
                await anyio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
                if await self._open():
                    tasks.start_soon(self.get().hub.run)
                    tasks.start_soon(self.get().fanout.run)
                    tasks.start_soon(self.get().sets.run)
                    tasks.start_soon(self.get().queue.run)

    async def _open(self) -> bool:
        config = self.config
        try:
            await ensure_functions(self._client)
            keys = await open_namespace(self._client, config.namespace, config.partitions)
        except ServerError as error:
            if str(error) != str(self._why):
                _logger.warning("the gateway waits for the Redis server: %s", error)
            self._why = error
            return False
        store, runs = Store(self._client, keys), Runs(self._client, keys)
        summaries = Summaries(runs, self._estimator)
        claims = Claims(self._client, keys)
        hub, estimates = Hub(config.redis, keys, store), Estimates(store, self._estimator)
        listing, fanout = Listing(self._client, keys), Fanout(hub, estimates)
        self._opened = Opened(
            keys,
            Log(self._client, keys),
            store,
            listing,
            Hindsight(runs, Past(store, keys, self._past), self._estimator),
            hub,
            fanout,
            Sets(listing, fanout),
            estimates,
            Overviews(store, estimates),
            runs,
            summaries,
            Overdue(runs, store, summaries, self._estimator),
            claims,
            Queue(claims),
            Vault(self._client, keys, None if self.auth is None else self.auth.secret),
            Answers(self._client, keys),
            Numbers(self._client, keys),
            Inspector(self._client, keys),
        )
        return True


@asynccontextmanager
async def open_backend(config: Config, estimator: Estimator, past: Sequence[AnyProjection]) -> AsyncIterator[Backend]:
    """Run a backend. It is open from the start where the server is there. Raises `ConfigError`."""
    auth = None if config.auth_file is None else read_auth(config.auth_file)
    client = connect(config.redis)
    try:
        async with anyio.create_task_group() as tasks:
            backend = Backend(config, auth, estimator, past, client)
            await tasks.start(backend.run)
            yield backend
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()
