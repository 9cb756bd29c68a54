"""The blocking writer: the SDK's only way to the Redis server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

import redis.exceptions as rx
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamproc.connection import server_errors
from streamproc.errors import ConfigError, ServerError, ServerUnavailable, UnfitServer
from streamproc.keys import Keys
from streamproc.log import FORMAT
from streamproc.runs import latest

__all__ = ["Appender"]

_MULTI = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC = b"*1\r\n$4\r\nEXEC\r\n"


class Appender:
    """One connection, for one thread, to a namespace of a Redis server. It connects when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        namespace: what all keys begin with.
        partitions: how many streams the log gets where the namespace doesn't exist yet.

    Raises:
        ConfigError: redis-py can't read the URL.
    """

    def __init__(self, url: str, namespace: str, partitions: int) -> None:
        try:
            self._client = Redis.from_url(
                url,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=10.0,
                socket_connect_timeout=5.0,
                client_name="streamproc",
                protocol=2,
            )
        except ValueError as error:
            raise ConfigError(f"url: {error}") from error
        self._client.set_response_callback("XREVRANGE", lambda reply, **_: reply)
        self.name = _without_password(url)
        self._namespace = namespace
        self._partitions = partitions
        self._keys: Keys | None = None
        self._connection: Any = None  # redis-py's, which has no types

    def open(self) -> Keys:
        """Connect, and read the namespace's facts, or write them where it is new.

        Raises:
            ServerUnavailable: nothing answers, or it refuses us.
            UnfitServer: the namespace is of a format that this version doesn't speak.
            WrongKey: a key of ours holds something else.
        """
        if self._keys is None:
            stored = self._facts()
            if None in stored:
                stored = self._create()
            partitions = int(stored[1]) if stored[1] is not None and stored[1].isdigit() else 0
            if stored[0] != str(FORMAT).encode() or not partitions:
                raise UnfitServer(
                    f"{self._namespace}:meta says format {stored[0]!r} with {stored[1]!r} partitions; "
                    f"this version speaks format {FORMAT}"
                )
            self._partitions = partitions
            self._keys = Keys(self._namespace, self._partitions)
        return self._keys

    def _facts(self) -> list[bytes | None]:
        with _errors():
            return cast("list[bytes | None]", self._client.hmget(f"{self._namespace}:meta", "format", "partitions"))

    def _create(self) -> list[bytes | None]:
        meta = f"{self._namespace}:meta"
        with _errors(), self._client.pipeline(transaction=True) as pipe:
            pipe.hsetnx(meta, "format", str(FORMAT))
            pipe.hsetnx(meta, "partitions", str(self._partitions))
            pipe.execute()
        return self._facts()

    def append(self, batch: Sequence[tuple[str, bytes]]) -> dict[int, ServerError]:
        """Append payloads, each with its job id, in their order.

        In one transaction, so that no event can be refused (no memory, no master) and a later one of the same
        job accepted: the earlier, sent again, would then be taken for a duplicate.

        Returns:
            Why the log of an entry's partition doesn't take it, by the entry's place in the batch. Mostly empty.

        Raises:
            ServerError: none of them, or all, were appended. Sending them again is harmless.
        """
        keys = self.open()
        packed = [_MULTI]
        for job, payload in batch:
            log = keys.of(job).log
            packed.append(b"%b$%d\r\n%b\r\n" % (_xadd(log), len(payload), payload))
        packed.append(_EXEC)
        with _errors():
            replies = self._exchange(b"".join(packed), len(batch))
        return {
            at: _ours(reply, keys.of(batch[at][0]).log)
            for at, reply in enumerate(replies)
            if isinstance(reply, Exception)
        }

    def _exchange(self, packed: bytes, commands: int) -> list[Any]:
        """Send a transaction; what EXEC replies for each of its commands. redis-py's pipeline takes thrice the time."""
        connection = self._connected()
        connection.send_packed_command([packed], check_health=False)
        queued = [_reply(connection) for _ in range(commands + 1)]
        executed = _reply(connection)
        if isinstance(executed, Exception):
            # A command that couldn't be queued says better than EXEC why none was executed.
            raise next((reply for reply in queued if isinstance(reply, Exception)), executed)
        return cast("list[Any]", executed)

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        return self._connection

    def snapshot(self, job: str) -> bytes | None:
        """A job's snapshot, or None where no event of it was folded. Raises `ServerError`."""
        keys = self.open()
        with _errors():
            return cast("bytes | None", self._client.hget(keys.of(job).state(job), "snapshot"))

    def now(self) -> int:
        """The server's time, in ms since 1970. Raises `ServerError`."""
        with _errors():
            seconds, micros = self._client.time()
        return seconds * 1000 + micros // 1000

    def runs(self, kind: str, most: int) -> tuple[list[bytes], int]:
        """The latest runs of a kind over all partitions, the oldest first, and the server's time in ms.

        Raises:
            ServerError: they can't be read.
        """
        reading = latest(self.open().partitions, [kind], most)
        commands = next(reading)
        while True:
            with _errors(), self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                replies = pipe.execute()
            try:
                commands = reading.send(replies)
            except StopIteration as read:
                [found], now = read.value
                return [run for _, run in found], now

    def disconnect(self) -> None:
        """Close the connection; the next use opens it again, and reads the namespace's facts anew."""
        self._keys = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)
        self._client.close()


@lru_cache(maxsize=4096)
def _xadd(log: str) -> bytes:
    """All of an XADD to a log but its last argument, as the protocol has it."""
    return b"*5\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n$1\r\ne\r\n" % (len(log.encode()), log.encode())


def _reply(connection: Any) -> Any:
    """The next reply; an error that the server replies is one too."""
    try:
        return connection.read_response()
    except rx.ResponseError as error:
        return error


@contextmanager
def _errors() -> Iterator[None]:
    """The server's errors as ours, and nothing of redis-py's own besides."""
    try:
        with server_errors():
            try:
                yield
            except rx.AuthenticationError as error:
                raise ServerError(f"the Redis server refuses the user or password: {error}") from error
    except (rx.RedisError, OSError) as error:
        raise ServerUnavailable(f"no answer from the Redis server: {error}") from error


def _ours(reply: Exception, key: str) -> ServerError:
    try:
        with _errors():
            raise reply
    except ServerError as error:
        return type(error)(f"{key} takes no events: {error}")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
