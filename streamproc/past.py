"""The past: what a job was at a position, or at many on the way to one, by folding its history to there.

It is folded as the projector does, events that were sent again and all, a page at a time, so that others are served
meanwhile. Of a long history states are kept on the way: another look back begins at the nearest one before its goal.
A state that was kept holds as long as the entry that it ends in is in the history.
"""

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Struct

from streamproc.errors import PastGone, PastPending
from streamproc.folding import Batch, Cache, Slot
from streamproc.keys import Keys
from streamproc.log import Entry
from streamproc.position import START, key, parse_rfc3339
from streamproc.projection import AnyProjection
from streamproc.store import Store

__all__ = ["Past"]

_PAGE: Final = 250
MOST_EVENTS: Final = 100_000
"""Folded for one request: about a second. A longer history takes several."""
APART: Final = 5000
"""Events between two states that are kept, of a history that isn't longer than 16 times that."""
_MOST_KEPT: Final = 16
_KEPT_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE: Final = 2
_OWN_WEIGHT: Final = 200
_REST_SECONDS: Final = 0.02
"""Nobody else is served for longer."""

Place = tuple[int, int]
"""A position as it sorts."""
Seen = Callable[[Place, bytes | None], Awaitable[None]]
"""Takes a snapshot, as it is stored, and the end that it stands before; None where there was nothing yet."""


class _Now(Struct):
    """What is read of a snapshot."""

    created_at: str
    events: int


_decode = msgspec.json.Decoder(_Now).decode


class _Kept(Struct):
    """A state on the way: what is stored of the job at a position, and the position before that."""

    position: str
    before: str
    state: dict[str, bytes]
    units: dict[str, bytes]

    @property
    def weight(self) -> int:
        return sum(_OWN_WEIGHT + len(value) for values in (self.state, self.units) for value in values.values())


class _Fold:
    """The fold of one job from its beginning, or from a state that was kept."""

    def __init__(self, job: str, keys: Keys, projections: Sequence[AnyProjection], kept: _Kept | None) -> None:
        self.position, self.before = (START, START) if kept is None else (kept.position, kept.before)
        self.events = 0 if kept is None else _decode(kept.state["snapshot"]).events
        self._job = job
        self._partitions = len(keys.partitions)
        self._keys = keys.of(job)
        self._cache = Cache(projections, 2**62)
        self._slot: Slot | None = None
        self._is_saved = True
        self._state = {} if kept is None else dict(kept.state)
        self._units = {} if kept is None else dict(kept.units)

    def take(self, entries: Sequence[Entry]) -> None:
        """Fold some entries, if any. The marks that they have come about again."""
        if not entries:
            return
        batch = Batch((position, fields[:2]) for position, fields in entries)
        touched, wanted = self._cache.enter(batch, self._keys.partition, self._partitions)
        for want in wanted:
            (_, fields), (_, units) = self._cache.hashes(want, self._keys)
            self._cache.place(want, list(map(self._state.get, fields)), list(map(self._units.get, units)))
        self._cache.fold(batch, touched, carefully=False)
        self._cache.keep(touched)
        self._slot = touched.get(self._job, self._slot)
        self._is_saved = False
        self.before = self.position if len(entries) == 1 else entries[-2][0].decode()
        self.position = entries[-1][0].decode()
        self.events += len(entries)

    def kept(self) -> _Kept:
        """The state here."""
        self.snapshot()
        return _Kept(self.position, self.before, dict(self._state), dict(self._units))

    def snapshot(self) -> bytes | None:
        """The snapshot here, as it would be stored; None where nothing was folded."""
        slot = self._slot
        if slot is not None and not self._is_saved:
            for projection, state in zip(self._cache.projections, slot.states, strict=True):
                changes = projection.save(state)
                self._state |= changes.fields
                if changes.live is not None:
                    self._state[changes.live[0]] = changes.live[1]
                if changes.units_dropped:
                    self._units.clear()
                self._units |= changes.units
            for source, newest in (slot.touched_sources or {}).items():
                self._state["src:" + source] = b"%d" % newest
            slot.touched_sources = None
            self._is_saved = True
        return self._state.get("snapshot")


class Past:
    """The past of a namespace's jobs.

    Args:
        store: where the histories are.
        keys: the namespace.
        projections: make the snapshots, in the order in which they fold. They keep nothing but what they save.
    """

    def __init__(self, store: Store, keys: Keys, projections: Sequence[AnyProjection]) -> None:
        self._store = store
        self._keys = keys
        self._projections = projections
        self._kept: OrderedDict[tuple[str, str], list[_Kept]] = OrderedDict()
        self._weight = 0
        self._turns = anyio.CapacityLimiter(_AT_ONCE)

    async def snapshot(self, job: str, life: str, now: bytes, end: Place) -> bytes | None:
        """A job's snapshot, as it is stored, after its last event that isn't beyond an end; None where it hadn't any.

        Args:
            life: of the job's partition.
            now: the job's snapshot as it is stored.
            end: a position.

        Raises:
            PastGone: the history doesn't reach back to there.
            PastPending: it has been folded a part of the way. Ask again.
            ServerError: it can't be read.
        """
        if end < (parse_rfc3339(_decode(now).created_at), 0):
            return None
        found: list[bytes | None] = []

        async def seen(_: Place, snapshot: bytes | None) -> None:
            found.append(snapshot)

        await self.walk(job, life, now, [end], seen)
        return found[0]

    async def walk(
        self, job: str, life: str, now: bytes, ends: Sequence[Place], seen: Seen, *, every: int | None = None
    ) -> None:
        """Tell of a job's snapshots at some ends, which rise, and up to the last of them after each so manieth event.

        Events that came since `now` aren't counted. Raises what `snapshot` does; after `PastPending` it goes on quickly
        from the ends that weren't told of yet.
        """
        async with self._turns:
            await self._walked((job, life), _decode(now).events, ends, seen, every)

    async def _walked(
        self, whose: tuple[str, str], events: int, ends: Sequence[Place], seen: Seen, every: int | None
    ) -> None:
        fold, found = await self._begun(whose, events, ends[0])
        apart = max(APART, events // _MOST_KEPT)
        count = since = at = 0
        rested = time.monotonic()
        while True:
            places = [key(position.decode()) for position, _ in found]
            begun = 0
            while at < len(ends):
                end = bisect_right(places, ends[at])
                mark = end + 1 if every is None else begun + every - fold.events % every
                if mark <= end and fold.events + mark - begun <= events:
                    fold.take(found[begun:mark])
                    begun = mark
                    await seen(places[mark - 1], fold.snapshot())
                elif end < len(found) or len(found) < _PAGE:
                    fold.take(found[begun:end])
                    begun = end
                    await seen(ends[at], fold.snapshot())
                    at += 1
                else:
                    break
                if time.monotonic() - rested > _REST_SECONDS:
                    await anyio.lowlevel.checkpoint()
                    rested = time.monotonic()
            if at == len(ends):
                return
            fold.take(found[begun:])
            count += len(found)
            since += len(found)
            if since >= apart or count >= MOST_EVENTS:
                self._keep(whose, fold.kept())
                since = 0
            if count >= MOST_EVENTS:
                raise PastPending(f"the history of {whose[0]} is long, and is folded up to {fold.position}: ask again")
            found = await self._store.history(whose[0], fold.position, _PAGE)
            rested = time.monotonic()

    async def _begun(self, whose: tuple[str, str], events: int, end: Place) -> tuple[_Fold, Sequence[Entry]]:
        """A fold from the nearest state before an end, and the first page that it takes."""
        job = whose[0]
        before = [state for state in self._kept.get(whose, ()) if key(state.position) <= end]
        kept = max(before, key=lambda state: key(state.position), default=None)
        if kept is not None:
            self._kept.move_to_end(whose)
            found = await self._store.history(job, kept.before, _PAGE + 1)
            if found and found[0][0].decode() == kept.position:
                return _Fold(job, self._keys, self._projections, kept), found[1:]
            self._weight -= sum(state.weight for state in self._kept.pop(whose, ()))
        if await self._store.history_length(job) < events:
            raise PastGone(f"the history of {job} doesn't reach back to its creation any more")
        found = await self._store.history(job, START, _PAGE)
        return _Fold(job, self._keys, self._projections, None), found

    def _keep(self, whose: tuple[str, str], state: _Kept) -> None:
        """Keep a state; where that is too much, those go first of jobs that weren't asked for longest."""
        states = self._kept.setdefault(whose, [])
        self._kept.move_to_end(whose)
        others = [other for other in states if other.position != state.position]
        states[:] = [*others[-2 * _MOST_KEPT :], state]
        self._weight = sum(each.weight for kept in self._kept.values() for each in kept)
        while self._weight > _KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._weight -= sum(each.weight for each in gone)
        if self._weight > _KEPT_BYTES:
            states[:] = [state]
