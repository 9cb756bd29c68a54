"""What a server says of itself: its fitness, and how each partition stands. Nothing is written."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis

from streamproc.config import Config
from streamproc.connection import FUNCTIONS_VERSION, call, connect, server_errors
from streamproc.dead import DeadLetters
from streamproc.errors import ServerError, ServerUnavailable, UnfitServer
from streamproc.keys import Keys, PartitionKeys
from streamproc.position import START, millis

__all__ = [
    "Inspector",
    "PartitionReport",
    "ServerReport",
    "check_server",
    "find_namespace",
    "inspecting",
    "is_serving",
    "report_partitions",
    "report_server",
]

_AT_ONCE: Final = 256
"""Partitions that are asked about together."""
_LEAST: Final = {"redis": (7, 0), "valkey": (8, 0)}


class ServerReport(Struct, frozen=True):
    """A server, as far as it matters here.

    Args:
        kind: ``redis`` or ``valkey``.
        version: e.g. ``9.1.2``.
        fit: whether the version is one that streamproc works with.
        aof: whether it keeps an append-only file.
        fsync: how often that reaches the disk: ``always``, ``everysec`` or ``no``.
        eviction: its ``maxmemory-policy``; None where it doesn't tell.
        functions: the version of streamproc's functions that it holds; None where it has none.
        memory_bytes: what its data takes of the memory.
        memory_limit_bytes: how much it may take; None where there is no limit.
    """

    kind: str
    version: str
    fit: bool
    aof: bool
    fsync: str | None
    eviction: str | None
    functions: int | None
    memory_bytes: int
    memory_limit_bytes: int | None

    @property
    def knows_functions(self) -> bool:
        """Whether it holds the functions that this program speaks."""
        return self.functions == FUNCTIONS_VERSION


class PartitionReport(Struct, frozen=True):
    """One partition.

    Args:
        partition: its number.
        events: how many its log holds.
        appended: how many were ever appended to it, those that were trimmed too; None where the server can't tell.
        lag: how many of them are not folded yet; None where the server can't tell.
        behind_seconds: how long the first of these has waited, 0 where there are none; None likewise.
        dead_letters: how many entries could not be folded.
        owner: what a commit must show, its epoch and its projector; None where nobody has it.
        epoch: the number of its ownership, which rises with every change of owner; None where nobody has it.
        projector: the name of its owner, ``host/process/…``; None where nobody has it.
    """

    partition: int
    events: int
    appended: int | None
    lag: int | None
    behind_seconds: float | None
    dead_letters: int
    owner: str | None
    epoch: int | None
    projector: str | None


async def is_serving(client: Redis, config_file: str) -> bool:
    """Whether the server started from this file answers here and has loaded its data.

    Raises:
        ServerUnavailable: nobody answers.
    """
    with server_errors():
        found = await client.info("server", "persistence")
    return found.get("config_file") == config_file and int(found["loading"]) == 0


@asynccontextmanager
async def inspecting(config: Config) -> AsyncIterator[Redis]:
    """A client of a server that answers.

    Raises:
        ServerUnavailable: it doesn't; the text says what to do.
    """
    client = connect(config.redis)
    try:
        try:
            await call(client, "PING")
        except ServerUnavailable as error:
            raise ServerUnavailable(
                f"no Redis server answers at {config.redis_shown}: start one, or name another ({error.__cause__})"
            ) from error
        yield client
    finally:
        await client.aclose()


async def report_server(client: Redis) -> ServerReport:
    """Ask the server about itself.

    Raises:
        ServerUnavailable: it doesn't answer.
    """
    with server_errors():
        found = await client.info("server", "persistence", "memory")
    settings = await _settings(client)
    kind = "valkey" if "valkey_version" in found else "redis"
    version = str(found[f"{kind}_version"])
    fit = _numbers(version) >= _LEAST[kind]
    loaded = fit and await call(client, "FUNCTION", "LIST", "LIBRARYNAME", "streamproc")
    functions = int(await call(client, "FCALL_RO", "sp_version", 0)) if loaded else None
    return ServerReport(
        kind=kind,
        version=version,
        fit=fit,
        aof=bool(int(found["aof_enabled"])),
        fsync=settings.get("appendfsync"),
        eviction=settings.get("maxmemory-policy") or found.get("maxmemory_policy"),
        functions=functions,
        memory_bytes=int(found["used_memory"]),
        memory_limit_bytes=int(found.get("maxmemory", 0)) or None,
    )


async def _settings(client: Redis) -> dict[str, str]:
    """What the server tells of its settings; managed servers tell nothing."""
    try:
        flat = await call(client, "CONFIG", "GET", "appendfsync", "maxmemory-policy")
    except ServerUnavailable:
        raise
    except ServerError:
        return {}
    return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def check_server(client: Redis) -> list[str]:
    """What about a server should be mended, though it can serve: it may lose or evict data.

    Raises:
        UnfitServer: it is too old.
        ServerUnavailable: it doesn't answer.
    """
    report = await report_server(client)
    if not report.fit:
        raise UnfitServer(f"the server is {report.kind} {report.version}; streamproc needs Redis 7.0 or Valkey 8.0")
    wrong = []
    if report.eviction not in (None, "noeviction"):
        wrong.append(
            f"maxmemory-policy is {report.eviction}: under pressure the server would drop events; set it to noeviction"
        )
    if not report.aof:
        wrong.append("appendonly is off: a crash of the server loses what it holds; `appendonly yes` keeps it")
    return wrong


async def find_namespace(client: Redis, namespace: str) -> Keys | None:
    """The keys of a namespace, or None where nothing has created it yet.

    Raises:
        ServerUnavailable: the server doesn't answer.
    """
    with server_errors():
        partitions = await client.hget(f"{namespace}:meta", "partitions")
    return None if partitions is None else Keys(namespace, int(partitions))


async def report_partitions(client: Redis, keys: Keys) -> list[PartitionReport]:
    """Ask how all partitions of a namespace stand.

    Raises:
        ServerUnavailable: the server doesn't answer.
        WrongKey: a key of a partition holds something else.
    """
    found: list[PartitionReport] = []
    for at in range(0, len(keys.partitions), _AT_ONCE):
        found += await _report(client, keys.partitions[at : at + _AT_ONCE])
    return found


async def _report(client: Redis, partitions: Sequence[PartitionKeys]) -> list[PartitionReport]:
    with server_errors():
        async with client.pipeline(transaction=False) as pipe:
            for keys in partitions:
                pipe.exists(keys.log)
                pipe.xlen(keys.log)
                pipe.xlen(keys.dead)
                pipe.get(keys.owner)
            found = iter(await pipe.execute())
            begun = [(next(found), int(next(found)), int(next(found)), next(found)) for _ in partitions]
            for keys, (is_there, *_) in zip(partitions, begun, strict=True):
                if is_there:  # there is no group without a log, and to ask for it is an error
                    pipe.xinfo_groups(keys.log)
            replies = iter(await pipe.execute())
            groups = [_ours(next(replies)) if is_there else {} for is_there, *_ in begun]
            stored = [(events, dead, owner) for _, events, dead, owner in begun]
            lags = [_whole(group.get("lag", events)) for group, (events, _, _) in zip(groups, stored, strict=True)]
            waited = await _waited(client, partitions, groups, lags)
    return [
        PartitionReport(
            partition=keys.partition,
            events=events,
            appended=_appended(group, lag, events),
            lag=lag,
            behind_seconds=behind,
            dead_letters=dead,
            owner=None if owner is None else _text(owner),
            epoch=None if owner is None else int(_text(owner).partition(":")[0]),
            projector=None if owner is None else _text(owner).partition(":")[2],
        )
        for keys, (events, dead, owner), group, lag, behind in zip(
            partitions, stored, groups, lags, waited, strict=True
        )
    ]


def _ours(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The group of the projectors; empty where they haven't folded anything yet."""
    return next((group for group in groups if _text(group["name"]) == Keys.GROUP), {})


def _appended(group: dict[str, Any], lag: int | None, events: int) -> int | None:
    if not group:
        return events
    read = _whole(group.get("entries-read", events))
    return None if read is None or lag is None else read + lag


async def _waited(
    client: Redis, partitions: Sequence[PartitionKeys], groups: Sequence[dict[str, Any]], lags: Sequence[int | None]
) -> list[float | None]:
    """For each partition, for how many seconds the first event that isn't folded has been in the log."""
    behind = [at for at, lag in enumerate(lags) if lag]
    waited: list[float | None] = [None if lag is None else 0.0 for lag in lags]
    if not behind:
        return waited
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for at in behind:
            last = _text(groups[at].get("last-delivered-id", START))
            pipe.execute_command("XRANGE", partitions[at].log, f"({last}", "+", "COUNT", 1)
        (seconds, micros), *pages = await pipe.execute()
    now = seconds * 1000 + micros // 1000
    for at, page in zip(behind, pages, strict=True):
        waited[at] = max(0, now - millis(_text(page[0][0]))) / 1000 if page else 0.0
    return waited


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


class Inspector:
    """Tells how the partitions of a namespace stand.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.

    Attributes:
        dead: what could not be folded.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.dead = DeadLetters(client, keys)

    async def partitions(self) -> list[PartitionReport]:
        """All of them; see `report_partitions`."""
        return await report_partitions(self._client, self._keys)

    async def server(self) -> ServerReport:
        """The server; see `report_server`."""
        return await report_server(self._client)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
