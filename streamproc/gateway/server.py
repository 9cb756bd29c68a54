"""The gateway's process: listen, serve, and end within a few seconds, whatever the clients do."""

import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import uvicorn

from streamproc.config import Config
from streamproc.errors import ConfigError
from streamproc.gateway.app import create_app
from streamproc.gateway.backend import Backend, open_backend
from streamproc.gateway.connections import HttpConnection, SocketConnection
from streamproc.projection import AnyProjection, Estimator

__all__ = ["serve"]

_BACKLOG: Final = 2048
_MAX_MESSAGE_BYTES: Final = 64 * 1024
_STALLED_SECONDS: Final = 1.0
_REQUEST_SECONDS: Final = 5
"""What requests get to finish at the end, and clients that take nothing of what is written to them."""


async def serve(
    config: Config,
    estimator: Estimator,
    past: Sequence[AnyProjection],
    *,
    stop: anyio.Event,
    started: Callable[[str], None] = lambda url: None,
    uds: str | None = None,
) -> None:
    """Serve until `stop` is set, and return once all requests have ended.

    It comes up without a Redis server too, isn't ready then, and serves as soon as there is one.

    Args:
        config: where the server is, and where to listen.
        estimator: what makes estimates of what the folds wrote.
        past: what folds a job's history to a past moment.
        stop: streams end at once then, requests within some seconds.
        started: is called with the gateway's URL once it listens.
        uds: the path of a Unix socket to listen at instead, which only this user may open.

    Raises:
        ConfigError: it can't listen there.
    """
    config.check()
    with _at_port(config) if uds is None else _at_path(Path(uds)) as (listener, url):
        async with open_backend(config, estimator, past) as backend:
            server = _Server(backend, stop, lambda: started(url))
            try:
                await server.serve([listener])
            finally:
                server.drop_all()


Listener = tuple[socket.socket, str]
"""A socket that listens, and its URL."""


@contextmanager
def _at_port(config: Config) -> Iterator[Listener]:
    host = config.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delays off only where it knows that a socket speaks TCP.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _config_errors(f"port: can't listen at {config.host} port {config.port}"):
            listener.bind((host, config.port))
            listener.listen(_BACKLOG)
        port = listener.getsockname()[1]
        yield listener, f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"


@contextmanager
def _at_path(path: Path) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX) as listener:
        with _config_errors(f"uds: can't listen at {path}"):
            listener.bind(str(path))
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)  # nobody can connect before it listens
            listener.listen(_BACKLOG)
        try:
            yield listener, f"http+unix://{path}"
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _config_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{what}: {error.strerror or error}") from error


class _Server(uvicorn.Server):
    """uvicorn in a loop that isn't its own: signals are somebody else's, and it stops by an event."""

    def __init__(self, backend: Backend, stop: anyio.Event, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(backend),
                http=HttpConnection,
                loop="none",
                ws=SocketConnection,
                ws_max_size=_MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_REQUEST_SECONDS,
            )
        )
        self._backend = backend
        self._stop = stop
        self._on_started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self.on_tick(0)  # the headers that every response has
        self._on_started()

    async def main_loop(self) -> None:
        while not self._stop.is_set():
            await self.on_tick(0)
            with anyio.move_on_after(1.0):
                await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # nobody new
        await self._backend.drain()
        self._backend.close_streams()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._abort_stalled)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    def drop_all(self) -> None:
        """Let go of what is still there, be it at the end or because somebody cancelled it."""
        for server in getattr(self, "servers", ()):
            server.close()
        self._abort(lambda connection: True)

    async def _abort_stalled(self) -> None:
        """Drop clients that don't take what is written: uvicorn would wait for them until its time is over."""
        while True:
            await anyio.sleep(_STALLED_SECONDS)
            self._abort(lambda connection: connection.flow.write_paused or connection.transport.is_closing())

    def _abort(self, which: Callable[[Any], bool]) -> None:
        for connection in list(self.server_state.connections):
            if which(connection):
                connection.transport.abort()
