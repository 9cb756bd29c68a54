"""The parts that ``up`` and ``demo`` start together, and stop in order: gateway, projectors, server."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import msgspec
from anyio.abc import Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from prometheus_client.multiprocess import MultiProcessCollector

from projections import ESTIMATOR, PAST
from streamproc import gateway
from streamproc.cli.doctor import require_fit
from streamproc.cli.options import say
from streamproc.cli.stopping import Stopping
from streamproc.config import Config
from streamproc.embedded import Durability, EmbeddedServer, embedded_server
from streamproc.errors import ServerError
from streamproc.telemetry.gateway import REGISTRY

__all__ = ["Addresses", "Embedding", "running"]

_PROJECTORS: Final = ("redis", "namespace", "partitions", "lease_seconds", "cache_bytes", "log_format", "log_level")
"""The settings that are theirs, besides `stall_seconds`."""
_STOP_SECONDS: Final = 10.0
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 10.0
_STEADY_SECONDS: Final = 60.0
"""A projector that ran this long starts again at once when it ends."""


class Embedding(msgspec.Struct, frozen=True):
    """How to run a server of our own: see `embedded_server`."""

    data: Path
    port: int | None = None
    durability: Durability = "everysec"


class Addresses(msgspec.Struct, frozen=True):
    """Where things are. `data` is None where the server isn't ours."""

    gateway: str
    redis: str
    data: str | None


@asynccontextmanager
async def running(
    config: Config, embedding: Embedding | None, projectors: int, stopping: Stopping
) -> AsyncIterator[Addresses]:
    """Run everything, in a context in which all of it is ready.

    Args:
        config: its `redis` counts only without an embedding.
        projectors: how many processes of them.

    Raises:
        StreamprocError: something didn't start, or ended for good; the latter is raised into the body, in a group.
    """
    async with AsyncExitStack() as parts:
        server: EmbeddedServer | None = None
        if embedding is not None:
            server = await parts.enter_async_context(
                embedded_server(embedding.data, port=embedding.port, durability=embedding.durability)
            )
            config = msgspec.structs.replace(config, redis=server.url)
        await require_fit(config)
        counts = Path(parts.enter_context(TemporaryDirectory(prefix="streamproc-counts-")))
        parts.enter_context(_shown(counts))
        await parts.enter_async_context(_projectors(config, projectors, stopping, counts))
        url = await parts.enter_async_context(_gateway(config, stopping))
        if server is not None:
            server.announce(url)
        yield Addresses(url, config.redis, str(server.data) if server else None)


@asynccontextmanager
async def _gateway(config: Config, stopping: Stopping) -> AsyncIterator[str]:
    stop, done = anyio.Event(), anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        try:
            await gateway.serve(config, ESTIMATOR, PAST, stop=stop, started=task_status.started)
        finally:
            done.set()

    async with anyio.create_task_group() as tasks:
        url: str = await tasks.start(serve)
        try:
            yield url
        finally:
            stop.set()
            await stopping.patiently(_STOP_SECONDS, done.wait)
            tasks.cancel_scope.cancel()


@contextmanager
def _shown(counts: Path) -> Iterator[None]:
    """Show beside what the gateway counts what the projectors do, each in files of this folder."""
    collector = MultiProcessCollector(REGISTRY, str(counts))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        REGISTRY.unregister(collector)


def _forget(counts: Path, pid: int) -> None:
    """What a process counted goes with it: to Prometheus its counters begin anew."""
    for file in counts.glob(f"*_{pid}.db"):
        file.unlink()


@asynccontextmanager
async def _projectors(config: Config, count: int, stopping: Stopping, counts: Path) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            await tasks.start(_keep_one_running, config, stopping, counts)
        yield
        tasks.cancel_scope.cancel()


async def _keep_one_running(config: Config, stopping: Stopping, counts: Path, *, task_status: TaskStatus[None]) -> None:
    """Run a projector, and another when it ends. The first has to start; being cancelled stops it."""
    delay = _FIRST_DELAY
    ready = False
    while True:
        since = anyio.current_time()
        async with _projector(config, stopping, counts) as process:
            if await _says_ready(process) and not ready:
                ready = True
                task_status.started()
            code = await process.wait()
        if not ready:
            raise ServerError(f"a projector didn't start (exit code {code}); it said why above")
        if anyio.current_time() - since > _STEADY_SECONDS:
            delay = _FIRST_DELAY
        say(f"a projector ended (exit code {code}); another starts in {delay:g} s")
        await anyio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


@asynccontextmanager
async def _projector(config: Config, stopping: Stopping, counts: Path) -> AsyncIterator[Process]:
    """A projector's process. Leaving stops it: it commits what it has read, and gives its partitions back."""
    process = await anyio.open_process(
        [sys.executable, "-m", "streamproc", "projector", "--json", "--until-stdin-closes"],
        env=os.environ | _variables(config) | {"PROMETHEUS_MULTIPROC_DIR": str(counts)},
        stderr=None,
        start_new_session=True,  # the terminal's Ctrl-C is for us, and we stop things in order
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            await stopping.patiently(_STOP_SECONDS, process.wait)
        await process.aclose()  # kills what is still there
        _forget(counts, process.pid)


def _variables(config: Config) -> dict[str, str]:
    """The settings as variables: on a command line everybody could read the server's password."""
    given = {name: str(getattr(config, name)) for name in _PROJECTORS}
    given["stall_seconds"] = "\n".join(f"{kind}={seconds}" for kind, seconds in config.stall_seconds.items())
    return {f"STREAMPROC_{name.upper()}": value for name, value in given.items()}


async def _says_ready(process: Process) -> bool:
    """Wait for its line, or its end."""
    assert process.stdout is not None  # noqa: S101 - anyio opens a pipe unless told otherwise
    try:
        await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 4096)
    except (anyio.EndOfStream, anyio.IncompleteRead):
        return False
    return True
