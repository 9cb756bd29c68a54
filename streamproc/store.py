"""The store: what the projections have made of the log. Written only by the commit, read by everybody."""

from collections.abc import Collection, Sequence
from typing import Any

from redis.asyncio import Redis

from streamproc.connection import call, server_errors
from streamproc.errors import JobConflict, ServerError
from streamproc.keys import Keys, PartitionKeys
from streamproc.log import Entry, stream_range
from streamproc.position import Token, key
from streamproc.projection import Changes
from streamproc.runs import Runs

__all__ = ["COMMIT", "Commit", "Store"]

_KEEP_CREATED_SECONDS = 86_400
_KEEP_RUNS = 64
"""Of each kind in each partition."""
COMMIT = ("FCALL", "sp_commit")
"""The call that `Commit.arguments` are for. What it raises says that nothing was written: `Fenced`, `CursorConflict`,
`WrongKey`, `ServerError`; but after `ServerUnavailable` only the cursor knows."""
_UNPACKED = 2000
"""How many values Lua is given to unpack at once: it can some thousands."""


class Commit:
    """What one batch writes, as the arguments of one call of `sp_commit`.

    Args:
        keys: of the partition.
        holder: the owner's ``epoch:token``.
        start: where the cursor must be.
        end: where the batch ends, and the cursor goes.
        read: how many events the group has folded at the end.
    """

    def __init__(self, keys: PartitionKeys, holder: str, start: str, end: str, read: int) -> None:
        self.end = end
        self.read = read
        self._keys = keys
        self._job_keys: list[str] = []
        self._hashes: list[str] = []
        self._zsets: dict[str, int] = {}
        self._runs: list[tuple[str, str, bytes]] = []
        self._kinds: dict[str, int] = {}
        self._head = [holder, start, end, read, Keys.GROUP, keys.live_prefix, len(keys.job_prefix)]
        self._operations: list[str | bytes | int] = []

    def job(self, job: str, sources: dict[str, int] | None, changes: list[Changes]) -> None:
        """What the projections write for a job, and the newest `seq` of each source that the batch heard from."""
        fields: list[str | bytes | int] = []
        entries: Sequence[str | bytes] = ()
        marked: list[str | bytes] = []
        bell = "K"
        for change in changes:
            if change.live is not None:
                bell = "J"
                fields[:0] = change.live
            if change.fields:
                for item in change.fields.items():
                    fields += item
            if change.marks:
                marked = _with_marks(change)
            elif change.entries:
                entries = change.entries
        if sources:
            for source, newest in sources.items():
                fields += ("src:" + source, newest)
        state, events = self._keys.state_and_events(job)
        self._job_keys += (state, events)
        first, rest = fields[:_UNPACKED], fields[_UNPACKED:]
        self._operations += (bell, len(first) // 2, len(entries) // 2, *first, *entries)
        if marked:
            self._operations += ("M", len(marked) // 3, *marked)
        if rest:
            self._fields(state, rest)
        for change in changes:
            if change.units or change.units_dropped or change.indexes or change.words or change.queues:
                self._units_and_indexes(job, change)
            if change.kinds:
                self._runs += change.runs
                for kind, used in change.kinds.items():
                    self._kinds[kind] = max(used, self._kinds.get(kind, 0))

    def _units_and_indexes(self, job: str, change: Changes) -> None:
        operations, keys = self._operations, self._keys
        if change.units_dropped:
            self._hashes.append(keys.units(job))
            operations += ("U", len(self._hashes), "V", self._zset(keys.ranks(job)))
        if change.units:
            self._fields(keys.units(job), [value for item in change.units.items() for value in item])
        for unit, rank in change.ranks.items():
            operations += ("Z", self._zset(keys.ranks(job)), rank, unit)
        for index, score in change.indexes.items():
            zset = self._zset(keys.index(index))
            operations += ("R", zset, job) if score is None else ("Z", zset, score, job)
        for word, there in change.words.items():
            zset, member = self._zset(keys.words), keys.word(word, job)
            operations += ("Z", zset, 0, member) if there else ("R", zset, member)
        for name, member, score in change.queues:
            zset = self._zset(keys.queue(name))
            operations += ("R", zset, member) if score is None else ("Z", zset, score, member)

    def _of_kinds(self) -> tuple[list[str], list[str | bytes | int]]:
        """The runs of all jobs, as a stream takes them in the order of their positions only; and their kinds."""
        streams: dict[str, int] = {}
        operations: list[str | bytes | int] = []
        for kind, position, run in sorted(self._runs, key=lambda each: key(each[1])):
            stream = streams.setdefault(self._keys.runs(kind), len(streams) + 1)
            operations += ("A", stream, _KEEP_RUNS, position, run)
        for kind, used in self._kinds.items():
            operations += ("Z", self._zset(self._keys.kinds), used, kind)
        return list(streams), operations

    def _zset(self, name: str) -> int:
        return self._zsets.setdefault(name, len(self._zsets) + 1)

    def _fields(self, hash_key: str, flat: list[str | bytes | int]) -> None:
        self._hashes.append(hash_key)
        for at in range(0, len(flat), _UNPACKED):
            part = flat[at : at + _UNPACKED]
            self._operations += ("H", len(self._hashes), len(part) // 2, *part)

    def dead_letter(self, position: str, fields: Sequence[bytes], reason: str) -> None:
        """Keep an entry that could not be folded, as it was, with the reason."""
        self._operations += ("X", len(fields) // 2 + 1, position, "reason", reason, *fields)

    def arguments(self) -> list[Any]:
        """The call: its number of keys, keys and arguments."""
        keys = self._keys
        streams, of_kinds = self._of_kinds()
        names = [keys.owner, keys.group, keys.log, keys.dead]
        names += (*self._job_keys, *self._hashes, *streams, *self._zsets)
        counts = (len(self._job_keys) // 2, len(self._hashes), len(streams))
        return [len(names), *names, *self._head, *counts, *self._operations, *of_kinds]


def _reply_or_error(reply: Any) -> Any:
    try:
        with server_errors():
            if isinstance(reply, Exception):
                raise reply
    except ServerError as error:
        return error
    return reply


def _with_marks(change: Changes) -> list[str | bytes]:
    """Mark, position and payload of each entry; the mark is empty where there is none."""
    flat: list[str | bytes] = []
    positions = iter(change.entries)
    for position, payload in zip(positions, positions, strict=True):
        assert isinstance(position, str)  # noqa: S101  (positions and payloads take turns)
        flat += (change.marks.get(position, ""), position, payload)
    return flat


class Store:
    """The projections of a namespace.

    Args:
        client: its connections are used; none blocks.
        keys: the namespace.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def load(self, wanted: list[tuple[str, list[str]]]) -> list[list[bytes | None]]:
        """Fields of many hashes of one partition: for each key and its fields their values."""
        asked = [(key, fields) for key, fields in wanted if fields]
        arguments: list[str | int] = []
        for _, fields in asked:
            arguments.append(len(fields))
            arguments += fields
        reply: list[list[bytes | None]] = await call(
            self._client, "FCALL_RO", "sp_load", len(asked), *(key for key, _ in asked), *arguments
        )
        values = iter(reply)
        return [next(values) if fields else [] for _, fields in wanted]

    async def snapshot(self, job: str) -> bytes | None:
        """A job's snapshot as it is stored, or None where no event of it was folded."""
        return await self.field(job, "snapshot")

    async def current(self, jobs: Sequence[str]) -> list[tuple[str, bytes | None]]:
        """For each job the life that its partition is in and its snapshot, in one round trip."""
        found = []
        for state in await self.states(jobs):
            if isinstance(state, ServerError):
                raise state
            found.append(state)
        return found

    async def states(self, jobs: Sequence[str]) -> list[tuple[str, bytes | None] | ServerError]:
        """The same; its error for a job that can't be read."""
        groups = list({self._keys.of(job).group: None for job in jobs})
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for group in groups:
                    pipe.hget(group, "incarnation")
                for job in jobs:
                    pipe.hget(self._keys.of(job).state(job), "snapshot")
                replies = [_reply_or_error(reply) for reply in await pipe.execute(raise_on_error=False)]
        lives = dict(zip(groups, replies, strict=False))
        found: list[tuple[str, bytes | None] | ServerError] = []
        for job, snapshot in zip(jobs, replies[len(groups) :], strict=True):
            life = lives[self._keys.of(job).group]
            errors = [reply for reply in (life, snapshot) if isinstance(reply, ServerError)]
            found.append(errors[0] if errors else (life.decode() if life else "", snapshot))
        return found

    async def cursors(self, partitions: Collection[int]) -> dict[int, Token]:
        """Up to where partitions are folded; those that nobody has begun to fold are left out."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for partition in partitions:
                    pipe.hmget(self._keys.partitions[partition].group, "incarnation", "cursor")
                replies = await pipe.execute()
        return {
            partition: Token(life.decode(), cursor.decode())
            for partition, (life, cursor) in zip(partitions, replies, strict=True)
            if life and cursor
        }

    async def runs(self, kind: str, most: int) -> tuple[list[bytes], int]:
        """The latest runs of a kind over all partitions, the oldest first, and the server's time in ms."""
        [runs], now = await Runs(self._client, self._keys).latest([kind], most)
        return [run for _, run in runs], now

    async def owned(self) -> int:
        """How many partitions have an owner."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for keys in self._keys.partitions:
                    pipe.exists(keys.owner)
                return sum(await pipe.execute())

    async def field(self, job: str, name: str) -> bytes | None:
        """One field of a job's state."""
        value: bytes | None = await call(self._client, "HGET", self._keys.of(job).state(job), name)
        return value

    async def units(self, job: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` units of a job after a rank, each with its rank and its state as it is stored."""
        keys = self._keys.of(job)
        ranked: list[bytes] = await call(
            self._client, "ZRANGEBYSCORE", keys.ranks(job), f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, limit
        )
        if not ranked:
            return []
        states = await call(self._client, "HMGET", keys.units(job), *ranked[::2])
        return [(int(rank), state) for rank, state in zip(ranked[1::2], states, strict=True) if state is not None]

    async def history(self, job: str, after: str, count: int) -> Sequence[Entry]:
        """Up to `count` entries of a job's history after a position: `e` is the payload, `mark` the mark."""
        return await stream_range(self._client, self._keys.of(job).events(job), after, count)

    async def history_before(self, job: str, before: str, count: int) -> Sequence[Entry]:
        """The same before a position, the newest first."""
        name = self._keys.of(job).events(job)
        found: list[Entry] = await call(self._client, "XREVRANGE", name, f"({before}", "-", "COUNT", count)
        return found

    async def history_length(self, job: str) -> int:
        """How many entries a job's history has."""
        length: int = await call(self._client, "XLEN", self._keys.of(job).events(job))
        return length

    async def histories(self, wanted: Sequence[tuple[str, str]], count: int) -> list[Sequence[Entry] | ServerError]:
        """The same for many jobs, each after its own position, in one round trip; its error for one that fails."""
        with server_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for job, after in wanted:
                    pipe.execute_command("XRANGE", self._keys.of(job).events(job), f"({after}", "+", "COUNT", count)
                replies = await pipe.execute(raise_on_error=False)
        return [_reply_or_error(reply) for reply in replies]

    async def incarnation(self, job: str) -> str:
        """The life that the job's partition is in; empty before a projector has had it."""
        value = await call(self._client, "HGET", self._keys.of(job).group, "incarnation")
        return value.decode() if value else ""

    async def create(self, job: str, payload: bytes, digest: str) -> str | None:
        """Append the event that creates a job, once. Returns its position, or None where it was done before.

        Raises:
            JobConflict: a job of this id was created with other content.
        """
        keys = self._keys.of(job)
        reply = await call(
            self._client,
            "FCALL", "sp_create", 2, keys.created(job), keys.log, digest, payload, _KEEP_CREATED_SECONDS,
        )  # fmt: skip
        if reply[0] < 0:
            raise JobConflict(f"job {job} was created with other content")
        return reply[1].decode() if reply[0] else None
