"""A running gateway, in this event loop, and its streams as a client reads them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import httpx
from redis.asyncio import Redis

from projections import ESTIMATOR, PAST
from streamproc import gateway
from streamproc.config import Config
from streamproc.connection import connect
from streamproc.keys import Keys
from streamproc.log import Log, open_namespace
from tests.support.documented import check_documented
from tests.support.running import caught_up, projecting

__all__ = ["Message", "Service", "messages", "serving", "serving_with_projector"]

PARTITIONS = 4


class Message(NamedTuple):
    event: str
    data: Any
    id: str | None


class Service(NamedTuple):
    """A gateway with a projector behind it, and what tests do to it."""

    http: httpx.AsyncClient
    client: Redis
    keys: Keys
    config: Config

    async def append(self, *events: dict[str, Any]) -> list[str]:
        """Append events as producers do, and wait until they are folded."""
        positions = await Log(self.client, self.keys).append((e["job"], json.dumps(e).encode()) for e in events)
        await caught_up(self.client, self.keys)
        return positions

    async def log_length(self) -> int:
        return sum([await self.client.xlen(keys.log) for keys in self.keys.partitions])


@asynccontextmanager
async def serving(config: Config, *, uds: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that listens, and a client of it. Leaving stops it."""
    stop, listening, ended = anyio.Event(), anyio.Event(), anyio.Event()
    url = ""

    def started(where: str) -> None:
        nonlocal url
        url = where
        listening.set()

    async def run() -> None:
        await gateway.serve(config, ESTIMATOR, PAST, stop=stop, started=started, uds=uds)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(20):
            await listening.wait()
        transport = httpx.AsyncHTTPTransport(uds=uds) if uds else None
        base = "http://gateway" if uds else url
        hooks = {"response": [check_documented]}
        async with httpx.AsyncClient(
            base_url=base, transport=transport, trust_env=False, timeout=20, event_hooks=hooks
        ) as http:
            try:
                yield http
            finally:
                stop.set()
                await ended.wait()  # what streams say at the end is still read


@asynccontextmanager
async def serving_with_projector(url: str, namespace: str) -> AsyncIterator[Service]:
    config = Config(redis=url, namespace=namespace, partitions=PARTITIONS, port=0)
    async with connect(url) as client, projecting(config), serving(config) as http:
        yield Service(http, client, await open_namespace(client, namespace, PARTITIONS), config)


async def messages(response: httpx.Response) -> AsyncIterator[Message]:
    """Server-sent events of a response; comments and `retry` are left out."""
    event, data, token = "message", None, None
    async for line in response.aiter_lines():
        if not line and data is not None:
            yield Message(event, json.loads(data), token)
            event, data = "message", None
        field, _, value = line.partition(": ")
        match field:
            case "event":
                event = value
            case "data":
                data = value
            case "id":
                token = value
