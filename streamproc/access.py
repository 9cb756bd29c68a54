"""A client for whatever URL somebody has: of a gateway that runs, or of a private one on a Redis server."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx

from streamproc.client import Client, open_gateway
from streamproc.config import Config
from streamproc.errors import ConfigError

__all__ = ["open_client"]


@asynccontextmanager
async def open_client(url: str, namespace: str = "sp") -> AsyncIterator[Client]:
    """A client of the gateway at an ``http(s)://`` URL, or of a private one on the server at a ``redis://`` URL.

    To a gateway it sends the key or token in STREAMPROC_TOKEN, if there is one.

    Raises:
        ConfigError: the URL is neither; or the token can't be one.
        ServerUnavailable: no server answers at the ``redis://`` URL.
    """
    match urlsplit(url).scheme:
        case "http" | "https":
            async with open_gateway(url, os.environ.get("STREAMPROC_TOKEN")) as client:
                yield client
        case "redis" | "rediss" | "unix":
            async with _private_gateway(Config(redis=url, namespace=namespace).check()) as client:
                yield client
        case _:
            raise ConfigError(f"url: {url!r} must begin with http://, https://, redis://, rediss:// or unix://")


@asynccontextmanager
async def _private_gateway(config: Config) -> AsyncIterator[Client]:
    from projections import ESTIMATOR, PAST
    from streamproc import gateway
    from streamproc.inspection import inspecting

    async with inspecting(config):
        pass  # a gateway would wait for a server that is gone; a command says so
    stop, listening = anyio.Event(), anyio.Event()
    # A socket that only we can reach; its path has to be short.
    with tempfile.TemporaryDirectory(prefix="streamproc-") as folder:
        uds = str(Path(folder) / "gateway")

        async def serve() -> None:
            await gateway.serve(config, ESTIMATOR, PAST, stop=stop, started=lambda _: listening.set(), uds=uds)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await listening.wait()
            async with open_gateway("http://gateway", transport=httpx.AsyncHTTPTransport(uds=uds)) as client:
                client.name = config.redis_shown
                yield client
            stop.set()
