"""The past: what a job was at a position, by folding its history to there.

It is folded as the projector does, events that were sent again and all, a page at a time, so that others are served
meanwhile. Of a long history states are kept on the way: another look back begins at the nearest one before its goal.
A state that was kept holds as long as the entry that it ends in is in the history.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import anyio
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

Place = tuple[int, int]
"""A position as it sorts."""


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

    def __init__(self, job: str, keys: Keys, projection: AnyProjection, kept: _Kept | None) -> None:
        self.position, self.before = (START, START) if kept is None else (kept.position, kept.before)
        self._job = job
        self._partitions = len(keys.partitions)
        self._keys = keys.of(job)
        self._cache = Cache([projection], 2**62)
        self._slot: Slot | None = None
        self._state = {} if kept is None else dict(kept.state)
        self._units = {} if kept is None else dict(kept.units)

    def take(self, entries: Sequence[Entry]) -> None:
        """Fold a page. The marks that its entries have come about again."""
        batch = Batch((position, fields[:2]) for position, fields in entries)
        touched, wanted = self._cache.enter(batch, self._keys.partition, self._partitions)
        for want in wanted:
            (_, fields), (_, units) = self._cache.hashes(want, self._keys)
            self._cache.place(want, list(map(self._state.get, fields)), list(map(self._units.get, units)))
        self._cache.fold(batch, touched, carefully=False)
        self._cache.keep(touched)
        self._slot = touched.get(self._job, self._slot)
        self.before = self.position if len(entries) == 1 else entries[-2][0].decode()
        self.position = entries[-1][0].decode()

    def kept(self) -> _Kept:
        """The state here."""
        self.snapshot()
        return _Kept(self.position, self.before, dict(self._state), dict(self._units))

    def snapshot(self) -> bytes | None:
        """The snapshot here; None where nothing was folded."""
        slot = self._slot
        if slot is not None:
            [projection], [state] = self._cache.projections, slot.states
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
        return self._state.get("snapshot")


class Past:
    """The past of a namespace's jobs.

    Args:
        store: where the histories are.
        keys: the namespace.
        projection: makes the snapshots.
    """

    def __init__(self, store: Store, keys: Keys, projection: AnyProjection) -> None:
        self._store = store
        self._keys = keys
        self._projection = projection
        self._kept: OrderedDict[tuple[str, str], list[_Kept]] = OrderedDict()
        self._weight = 0
        self._turns = anyio.CapacityLimiter(_AT_ONCE)

    async def snapshot(self, job: str, life: str, now: bytes, end: Place) -> bytes | None:
        """A job's snapshot after its last event that isn't beyond an end; None where it hadn't any by then.

        Args:
            life: of the job's partition.
            now: the job's snapshot as it is stored.
            end: a position.

        Raises:
            PastGone: the history doesn't reach back to there.
            PastPending: it has been folded a part of the way. Ask again.
            ServerError: it can't be read.
        """
        facts = _decode(now)
        if end < (parse_rfc3339(facts.created_at), 0):
            return None
        async with self._turns:
            return await self._folded(job, life, facts.events, end)

    async def _folded(self, job: str, life: str, events: int, end: Place) -> bytes | None:
        fold, found = await self._begun(job, life, events, end)
        apart = max(APART, events // _MOST_KEPT)
        count = since = 0
        while True:
            entries = [entry for entry in found if key(entry[0].decode()) <= end]
            if entries:
                fold.take(entries)
                count += len(entries)
                since += len(entries)
            if len(entries) < _PAGE:
                return fold.snapshot()
            if since >= apart or count >= MOST_EVENTS:
                self._keep((job, life), fold.kept())
                since = 0
            if count >= MOST_EVENTS:
                raise PastPending(f"the history of {job} is long, and is folded up to {fold.position}: ask again")
            found = await self._store.history(job, fold.position, _PAGE)

    async def _begun(self, job: str, life: str, events: int, end: Place) -> tuple[_Fold, Sequence[Entry]]:
        """A fold from the nearest state before an end, and the first page that it takes."""
        before = [state for state in self._kept.get((job, life), ()) if key(state.position) <= end]
        kept = max(before, key=lambda state: key(state.position), default=None)
        if kept is not None:
            self._kept.move_to_end((job, life))
            found = await self._store.history(job, kept.before, _PAGE + 1)
            if found and found[0][0].decode() == kept.position:
                return _Fold(job, self._keys, self._projection, kept), found[1:]
            self._weight -= sum(state.weight for state in self._kept.pop((job, life), ()))
        if await self._store.history_length(job) < events:
            raise PastGone(f"the history of {job} doesn't reach back to its creation any more")
        found = await self._store.history(job, START, _PAGE)
        return _Fold(job, self._keys, self._projection, None), found

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
