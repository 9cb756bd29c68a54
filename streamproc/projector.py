"""The projector: reads the log, folds it, and commits what the folds made of it, exactly once.

Who owns what. A partition has one owner, by a lease that expires. Only its owner folds it, and only with the lease in
hand can it commit. The *cursor* (where the group is in the partition) lives in the store and moves in the same
atomic step that writes what the batch made: state, history, indexes, dead letters, doorbells. So the cursor is
the truth about what was folded; all that this process holds in memory is a cache of the store at the cursor, plus
the batches that are on their way.

One batch, in order, in `_step`: entries are decoded; the jobs that aren't in memory are loaded; events are folded;
the commit is sent off. While it is on its way the next batch is read and folded: read, fold and commit overlap. All
commits go down one line, one after another, and each must find the cursor where the one before it left it; so when
one is refused, those behind it are too. Jobs of a batch on its way are pinned in the cache, so nothing is loaded
that a commit is about to change.

What each failure does.

- *The lease is lost* (this process was stopped, cut off, or too slow): the commit is FENCED and nothing was written.
  The partition is dropped from memory; its new owner began at the same cursor.
- *The cursor isn't where the batch begins*: CONFLICT, nothing was written. Memory and store disagree, so memory goes:
  the partition is dropped and taken again from the cursor. An old commit of this very process that was still in
  some socket when the connection broke shows itself this way.
- *The connection breaks*: nobody knows which commits on their way were applied, but the cursor does. All memory is
  dropped, and after connecting again each partition goes on from its cursor: at the end of the batch, if it was
  applied; else at its beginning. No client repeats a command by itself.
- *An entry can't be decoded, or lives in another partition*: it becomes a dead letter in the same commit.
- *A fold fails*: the states it touched may be half changed. They are dropped once the commit before is done, and the
  batch is folded again, event by event, until the one that fails is found. That one becomes a dead letter.
- *A key holds another type, the Function or the group is gone*: the commit is refused whole and said on the log. The
  partition is given up and tried again later; nothing is skipped.
- *The process is killed*: its leases expire, others take over from the cursors.
- *A job falls silent*: that is the sweeper's, who only appends to the log, with the lease in hand.
- *It is told to stop*: batches on their way are committed, leases released, and the others told.

Time, where it matters (leases, members, silences), is the server's.
"""

import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from operator import itemgetter
from time import perf_counter
from typing import NamedTuple

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from streamproc.config import Config
from streamproc.connection import Line, connect, ensure_functions, line
from streamproc.errors import CursorConflict, Fenced, ServerError, ServerUnavailable
from streamproc.folding import Batch, Cache, Poison, Slot
from streamproc.inspection import check_server
from streamproc.log import Entry, Log, open_namespace
from streamproc.owned import Owned, Partition
from streamproc.ownership import Ownership
from streamproc.projection import AnyProjection, Stalls
from streamproc.store import COMMIT, Commit, Store
from streamproc.sweeper import Sweeper
from streamproc.sweeps import Sweeps
from streamproc.telemetry.projector import COMMIT_SECONDS, DEAD_LETTERS, FOLD_SECONDS, FOLDED, PARTITIONS_DROPPED

__all__ = ["Projector", "run"]

MAX_BATCH = 1000
MAX_BATCH_BYTES = 1024 * 1024
SMALL_COMMITS = 300
"""Commits of fewer events than this are sent together with others, as far as there are any."""
MAX_ON_THEIR_WAY = 2
"""So many commits of a partition may be on their way, so that the server needn't wait for the next one."""
MAX_READ_BYTES = 16 * 1024 * 1024
_BLOCK_MS = 250
_IDLE_SECONDS = 0.05
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_logger = logging.getLogger("streamproc.projector")


Read = tuple[Partition, list[Entry]]
"""What was read of a partition."""


class Sent(NamedTuple):
    """A commit, the jobs that it holds, how many entries and dead letters, and since when it is ready."""

    commit: Commit
    partition: Partition
    touched: dict[str, Slot]
    events: int
    dead: int
    since: float


class Projector:
    """Folds the partitions that it owns, over one connection's life: it ends when that breaks, or when told to stop.

    Args:
        log: over a client whose reads may block.
        commits: the line that commits are sent on.
        store: over a client of its own.
        ownership: this process as a member of the group.
        sweeper: for the partitions that are owned.
        projections: in the order in which they fold.
        config: lease and cache.
        partitions: how many there are.
    """

    def __init__(
        self,
        log: Log,
        commits: Line,
        store: Store,
        ownership: Ownership,
        sweeper: Sweeper,
        projections: Sequence[AnyProjection],
        config: Config,
        partitions: int,
    ) -> None:
        self._log = log
        self._commits = commits
        self._store = store
        self._cache = Cache(projections, config.cache_bytes)
        self._sweeper = sweeper
        self._count = partitions
        self._owned = Owned(ownership, partitions, config.lease_seconds, self._cache.drop)
        self._ready: list[Sent] = []
        self._ready_events = 0
        self._sent: deque[Sent] = deque()
        self._some_sent = anyio.Event()
        self._event_bytes = 4096

    async def run(self, stop: anyio.Event, started: Callable[[], None]) -> None:
        """Fold until `stop` is set. Raises `ServerError` where the server fails; all memory is void then."""
        deliver, reads = anyio.create_memory_object_stream[list[Read]](0)
        async with deliver, reads, anyio.create_task_group() as tasks:
            await self._owned.balance()
            started()
            tasks.start_soon(self._owned.keep)
            tasks.start_soon(self._read_forever, deliver.send)
            tasks.start_soon(self._fold_forever, reads)
            tasks.start_soon(self._finish_forever)
            tasks.start_soon(self._sweeper.run, self._owned.partitions)
            await stop.wait()
            await self._owned.leave()
            tasks.cancel_scope.cancel()

    async def _read_forever(self, deliver: Callable[[list[Read]], Awaitable[None]]) -> None:
        while True:
            owned = dict(self._owned.partitions)
            if not owned:
                await anyio.sleep(_IDLE_SECONDS)
                continue
            count = max(1, min(MAX_BATCH, MAX_READ_BYTES // (len(owned) * self._event_bytes)))
            after = {number: partition.read_to for number, partition in owned.items()}
            found = []
            for got in await self._log.read(after, count, _BLOCK_MS):
                partition = owned[got.partition]
                partition.read_to = got.entries[-1][0].decode()
                found.append((partition, got.entries))
            if found:
                await deliver(found)

    async def _fold_forever(self, reads: MemoryObjectReceiveStream[list[Read]]) -> None:
        async for found in reads:
            for partition, entries in found:
                for part in self._split(entries):
                    await self._step(partition, part)
            await self._send()

    def _split(self, entries: list[Entry]) -> Iterator[list[Entry]]:
        """Cut what was read into batches that aren't too large, and learn how large events are."""
        sizes = list(map(len, map(itemgetter(-1), map(itemgetter(1), entries))))
        whole = sum(sizes)
        self._event_bytes = 1 + whole // len(sizes)
        if whole <= MAX_BATCH_BYTES:
            yield entries
            return
        start = size = 0
        for at, own in enumerate(sizes):
            if size + own > MAX_BATCH_BYTES and at > start:
                yield entries[start:at]
                start, size = at, 0
            size += own
        yield entries[start:]

    async def _step(self, partition: Partition, entries: list[Entry]) -> None:
        """One batch: it is folded while the one before it is committed, and then sent off itself."""
        if self._cache.overweight:
            await self._settled(partition)
        batch = Batch(entries)
        with FOLD_SECONDS.time():
            commit, touched = await self._fold(partition, batch)
        await self._settled(partition, MAX_ON_THEIR_WAY - 1)
        if not self._owned.has(partition):
            return
        partition.folded_to, partition.folded = commit.end, commit.read
        partition.on_their_way += 1
        self._cache.keep(touched)
        self._ready.append(Sent(commit, partition, touched, len(entries), len(batch.dead), perf_counter()))
        self._ready_events += len(entries)
        if self._ready_events >= SMALL_COMMITS:
            await self._send()

    async def _send(self) -> None:
        """Send off the commits that are ready: large ones one by one, small ones together."""
        ready, self._ready, self._ready_events = self._ready, [], 0
        if ready:
            self._sent.extend(ready)
            self._some_sent.set()
            await self._commits.send([(*COMMIT, *sent.commit.arguments()) for sent in ready])

    async def _settled(self, partition: Partition, most: int = 0) -> None:
        """Wait until at most so many commits of a partition are on their way."""
        if partition.on_their_way > most:
            await self._send()
            await partition.settled(most)

    async def _fold(self, partition: Partition, batch: Batch) -> tuple[Commit, dict[str, Slot]]:
        carefully = False
        while True:
            touched = await self._enter(partition, batch)
            commit = Commit(
                partition.lease.keys,
                partition.lease.holder,
                partition.folded_to,
                batch.end,
                partition.folded + batch.size,
            )
            try:
                self._cache.fold(batch, touched, carefully=carefully)
                self._cache.save(batch, touched, commit)
            except Poison as poison:
                _logger.error("partition %d at %s: a dead letter: %s", partition.number, poison.position, poison)
                batch.bury({poison.position: poison.reason})
            except Exception:
                if carefully:
                    raise
                _logger.warning("partition %d: a fold failed; folding again event by event", partition.number)
            else:
                return commit, touched
            carefully = True
            await self._settled(partition)
            self._cache.forget(touched)
            batch.unmark()

    async def _enter(self, partition: Partition, batch: Batch) -> dict[str, Slot]:
        """The slots of a batch's jobs, with all that folding needs loaded."""
        touched, wanted = self._cache.enter(batch, partition.number, self._count)
        if wanted:
            hashes = [each for want in wanted for each in self._cache.hashes(want, partition.lease.keys)]
            values = iter(await self._store.load(hashes))
            for want in wanted:
                self._cache.place(want, next(values), next(values))
        return touched

    async def _finish_forever(self) -> None:
        """Hear what the server says of each commit."""
        while True:
            if not self._sent:
                self._some_sent = anyio.Event()
                await self._some_sent.wait()
            sent = self._sent[0]
            try:
                await self._commits.reply()
            except ServerUnavailable:
                raise
            except (Fenced, CursorConflict, ServerError) as error:
                PARTITIONS_DROPPED.labels(type(error).__name__).inc()
                self._owned.drop(sent.partition, error)
            else:
                FOLDED.inc(sent.events - sent.dead)
                DEAD_LETTERS.inc(sent.dead)
                COMMIT_SECONDS.observe(perf_counter() - sent.since)
            self._sent.popleft()
            self._cache.unpin(sent.touched)
            sent.partition.commit_ended()


async def run(
    config: Config,
    projections: Sequence[AnyProjection],
    stalls: Stalls,
    *,
    stop: anyio.Event,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Project until `stop` is set. Once it has started, it waits for a server that is gone and goes on.

    Args:
        config: where the server is, lease, cache, and how long jobs may be silent.
        projections: in the order in which they fold.
        stalls: finds jobs that are silent for too long.
        stop: set it to finish what is on its way and hand over.
        started: called once, when this process is a member and has its first partitions.

    Raises:
        ServerUnavailable: no server answered at the start.
        UnfitServer: the server can't serve us.
    """
    failures = 0
    has_started = False

    def on_start() -> None:
        nonlocal failures, has_started
        failures = 0
        if has_started:
            _logger.info("connected again; going on from the cursors")
        else:
            has_started = True
            started()

    member = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    while not stop.is_set():
        try:
            await _run_once(config, projections, stalls, member, stop, on_start)
        except* ServerUnavailable as group:
            error = _first(group)
            if not has_started:
                raise ServerUnavailable(
                    f"no Redis server answers at {config.redis_shown}: start one, or name another with --redis"
                ) from error
            if failures == 0:
                _logger.warning("waiting for the Redis server: %s", error)
            with anyio.move_on_after(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]):
                await stop.wait()
            failures += 1


def _first(error: BaseException) -> BaseException:
    """What went wrong, out of the groups that task groups make of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run_once(
    config: Config,
    projections: Sequence[AnyProjection],
    stalls: Stalls,
    member: str,
    stop: anyio.Event,
    started: Callable[[], None],
) -> None:
    """One connection's life."""
    async with connect(config.redis) as client, connect(config.redis, timeout=_BLOCK_MS / 1000 + 10) as reader:
        for wrong in await check_server(client):
            _logger.warning("the server: %s", wrong)
        await ensure_functions(client)
        keys = await open_namespace(client, config.namespace, config.partitions)
        ownership = Ownership(client, keys, config.lease_seconds, member)
        async with line(client) as commits:
            store = Store(client, keys)
            sweeper = Sweeper(Sweeps(client), store, stalls, config.stall_seconds)
            log = Log(reader, keys)
            projector = Projector(log, commits, store, ownership, sweeper, projections, config, len(keys.partitions))
            await projector.run(stop, started)
