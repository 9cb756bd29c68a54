"""Connections to the server, and its errors in our words.

Clients here never repeat a command by themselves: after a broken connection nobody knows whether a write was
applied, and the one who sent it has to look.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, Final

import anyio
import hiredis
import redis.exceptions as rx
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from streamproc.errors import CursorConflict, Fenced, ServerError, ServerUnavailable, UnfitServer, WrongKey

__all__ = ["FUNCTIONS_VERSION", "Line", "Redis", "call", "connect", "ensure_functions", "line", "server_errors"]

FUNCTIONS_VERSION: Final = 7
"""Rises with every change of functions.lua."""

_PASSING: Final = (
    rx.OutOfMemoryError,
    rx.ReadOnlyError,
    rx.ClusterDownError,  # MASTERDOWN too
    rx.TryAgainError,
)
"""Refusals that waiting may mend. redis-py takes the word from their text."""

_CONNECTIONS: Final = 32


def connect(url: str, *, timeout: float | None = 10.0) -> Redis:
    """A client of its own connections. `timeout`: seconds to wait for a reply; None for a reader that blocks."""
    # Many requests share few connections: one that finds all of them in use waits for its turn.
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout,
        socket_connect_timeout=5.0,
        socket_read_size=256 * 1024,
        client_name="streamproc",
        protocol=2,
    )
    pool.connection_class = type("Connection", (_Fast, pool.connection_class), {})
    client = Redis.from_pool(pool)
    client.set_response_callback("XREAD", _as_it_is)  # type: ignore[arg-type]
    client.set_response_callback("XRANGE", _as_it_is)  # type: ignore[arg-type]
    client.set_response_callback("XREVRANGE", _as_it_is)  # type: ignore[arg-type]
    return client


class _Fast:
    """What redis-py's asyncio connections lack for commands of a megabyte with thousands of arguments.

    They are packed in C, not in Python; and sending waits until all of it has left this process, so that the server
    isn't kept waiting for the rest while a fold holds the event loop.
    """

    _writer: asyncio.StreamWriter

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        self._writer.transport.set_write_buffer_limits(high=0)

    def pack_command(self, command: str | bytes, *arguments: Any) -> list[bytes]:
        name = command.encode() if isinstance(command, str) else command
        packed: bytes = hiredis.pack_command((*name.split(), *arguments))
        return [packed]


def _as_it_is(reply: Any, **options: Any) -> Any:
    return reply


@contextmanager
def server_errors() -> Iterator[None]:
    """Raise the server's errors as ours: `ServerError` and below, `Fenced`, `CursorConflict`."""
    try:
        yield
    except (rx.AuthenticationError, rx.AuthorizationError, rx.NoPermissionError) as error:
        raise UnfitServer(f"the Redis server refuses our name or password: {error}") from error
    except (rx.ConnectionError, rx.TimeoutError, ConnectionError, TimeoutError) as error:
        raise ServerUnavailable(f"no answer from the Redis server: {error}") from error
    except _PASSING as error:
        raise ServerUnavailable(f"the Redis server cannot serve now: {error}") from error
    except rx.ResponseError as error:
        raise _ours(str(error)) from error


class Line:
    """A connection on which commands follow one another without waiting; the replies come in the same order."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def send(self, commands: Iterable[Sequence[Any]]) -> None:
        """Send commands, once, and return when all of them are on their way.

        Raises:
            ServerUnavailable: nobody knows which of them arrived.
        """
        packed = [part for command in commands for part in self._connection.pack_command(*command)]
        with server_errors():
            await self._connection.send_packed_command(packed, check_health=False)

    async def reply(self) -> Any:
        """The reply to the first command that has had none. Raises as `call` does."""
        with server_errors():
            # Else the connection would be taken from under who sends, or be made anew by it.
            return await self._connection.read_response(disconnect_on_error=False)


@asynccontextmanager
async def line(client: Redis) -> AsyncIterator[Line]:
    """A line of its own out of a client's connections. Raises `ServerUnavailable`."""
    with server_errors():
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        yield Line(connection)
    finally:
        with anyio.CancelScope(shield=True):
            await connection.disconnect(nowait=True)
            await client.connection_pool.release(connection)


async def call(client: Redis, *command: Any) -> Any:
    """Send one command, once, and return its reply as it is.

    Raises:
        ServerError, Fenced, CursorConflict: see `server_errors`.
    """
    with server_errors():
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]


def _ours(text: str) -> Exception:
    text = re.sub(r"^Command # \d+ .* of pipeline caused error: ", "", text, flags=re.DOTALL)
    word, _, rest = text.partition(" ")
    match word:
        case "FENCED":
            return Fenced(rest)
        case "CONFLICT":
            return CursorConflict(rest)
        case "WRONGTYPE":
            return WrongKey(rest)
        case "BUSY" | "MISCONF":
            return ServerUnavailable(f"the Redis server cannot serve now: {text}")
    if "Function not found" in text:
        return ServerUnavailable("the Redis server lost streamproc's functions, which are loaded anew on connecting")
    return ServerError(text)


async def ensure_functions(client: Redis) -> None:
    """Load the functions, unless the server has this version already.

    Raises:
        UnfitServer: the server has those of a newer streamproc.
    """
    loaded = await call(client, "FUNCTION", "LIST", "LIBRARYNAME", "streamproc")
    found = int(await call(client, "FCALL_RO", "sp_version", 0)) if loaded else 0
    if found > FUNCTIONS_VERSION:
        raise UnfitServer(
            f"the server has version {found} of streamproc's functions, and this program speaks "
            f"version {FUNCTIONS_VERSION}: upgrade it"
        )
    if found < FUNCTIONS_VERSION:
        source = files("streamproc").joinpath("functions.lua").read_text()
        await call(client, "FUNCTION", "LOAD", "REPLACE", source)
