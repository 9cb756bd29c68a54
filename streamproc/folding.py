"""Folding a batch in memory: entries to events, events into the states of their jobs, states to what is written.

Nothing here waits or knows a server. What a batch needs that isn't in memory is named first (`Wanted`), loaded by
the caller, and put in place; then the batch is folded in one go.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from streamproc.errors import InvalidEvent
from streamproc.events import Mark, RecordedEvent
from streamproc.keys import PartitionKeys
from streamproc.position import key
from streamproc.projection import AnyProjection
from streamproc.store import Commit
from streamproc.wire import decode, partition_of

__all__ = ["Batch", "Cache", "Poison", "Slot", "Wanted"]

_OWN_WEIGHT = 700
_SOURCE_WEIGHT = 150


class DeadLetter(Struct):
    """An entry that can't be folded, as it was, and why."""

    position: str
    fields: Sequence[bytes]
    reason: str


class Poison(Exception):
    """An event made a fold fail. The states it touched are not to be trusted any more."""

    def __init__(self, position: str, cause: BaseException) -> None:
        self.position = position
        self.reason = f"cannot be folded: {type(cause).__name__}: {cause}"
        super().__init__(self.reason)


class Slot:
    """A job in memory: a state for each projection, and the newest `seq` of its sources.

    Args:
        partition: where the job lives.
        pins: how many commits that hold this job are on their way; it isn't evicted meanwhile.
        weight: what the cache counts it as; `new_weight` is what it counts from the batch in hand on.
    """

    __slots__ = (
        "job",
        "new_weight",
        "partition",
        "pins",
        "sources",
        "sources_complete",
        "states",
        "touched_sources",
        "weight",
    )

    def __init__(self, job: str, partition: int) -> None:
        self.job = job
        self.partition = partition
        self.states: list[object] = []
        self.sources: dict[str, int] = {}
        self.sources_complete = False
        self.touched_sources: dict[str, int] | None = None
        self.pins = 0
        self.weight = 0
        self.new_weight = 0

    def lacks_source(self, source: str) -> bool:
        """Whether the newest `seq` of a source must be looked up."""
        return not self.sources_complete and source not in self.sources


class Wanted(Struct):
    """What must be loaded for one job before its events can be folded."""

    slot: Slot
    state: bool
    sources: dict[str, None] = {}
    units: dict[str, None] = {}


class Batch:
    """Entries of one partition, in log order, as the events of each job and dead letters."""

    def __init__(self, entries: Iterable[tuple[bytes, Sequence[bytes]]]) -> None:
        self.events: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
        self.dead: list[DeadLetter] = []
        self.size = 0
        self.end = "0-0"
        events = self.events
        for identity, fields in entries:
            self.size += 1
            self.end = position = identity.decode()
            if len(fields) != 2 or fields[0] != b"e":
                self.dead.append(DeadLetter(position, fields, "an entry has one field, e"))
                continue
            payload = fields[1]
            try:
                event = decode(payload)
            except InvalidEvent as error:
                self.dead.append(DeadLetter(position, fields, str(error)))
            else:
                events[event.job].append(RecordedEvent(position, event, payload))

    def unmark(self) -> None:
        """Forget what an earlier fold said of these events."""
        for own in self.events.values():
            for recorded in own:
                recorded.mark = None

    def bury(self, reasons: Mapping[str, str]) -> None:
        """Make dead letters of events, by their positions."""
        for job, own in list(self.events.items()):
            self.events[job] = [recorded for recorded in own if recorded.position not in reasons]
            for recorded in own:
                reason = reasons.get(recorded.position)
                if reason is not None:
                    self.dead.append(DeadLetter(recorded.position, (b"e", recorded.raw), reason))
            if not self.events[job]:
                del self.events[job]
        self.dead.sort(key=lambda letter: key(letter.position))


class Cache:
    """The jobs in memory, the least recently used evicted first, bounded by what they weigh.

    Args:
        projections: in the order in which they fold.
        max_bytes: about how much memory the states may take.
    """

    def __init__(self, projections: Sequence[AnyProjection], max_bytes: int) -> None:
        self.projections = projections
        self.max_bytes = max_bytes
        self.weight = 0
        self.state_fields = list(dict.fromkeys(field for projection in projections for field in projection.fields))
        self._evolves = [projection.evolve for projection in projections]
        self._saves = [projection.save for projection in projections]
        self._keepers = [at for at, projection in enumerate(projections) if projection.keeps_units]
        self._slots: OrderedDict[str, Slot] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slots)

    def enter(self, batch: Batch, partition: int, partitions: int) -> tuple[dict[str, Slot], list[Wanted]]:
        """The slots of a batch's jobs, and what must be loaded into them. Misplaced events become dead letters."""
        touched: dict[str, Slot] = {}
        wanted: dict[str, Wanted] = {}
        misplaced: dict[str, str] = {}
        for job, events in batch.events.items():
            slot = self._slots.get(job)
            home = partition_of(job, partitions) if slot is None else slot.partition
            if home != partition:
                misplaced |= {
                    recorded.position: f"job: lives in partition {home}, not {partition}" for recorded in events
                }
                continue
            if slot is None:
                slot = Slot(job, partition)
                wanted[job] = Wanted(slot, state=True)
            touched[job] = slot
            for recorded in events:
                event = recorded.event
                source = event.src
                if source is not None and event.seq is not None and slot.lacks_source(source):
                    self._want(wanted, slot).sources[source] = None
                unit = event.unit
                if unit is not None and (not slot.states or self._lacks(slot, unit)):
                    self._want(wanted, slot).units[unit] = None
        if misplaced:
            batch.bury(misplaced)
        return touched, list(wanted.values())

    def _want(self, wanted: dict[str, Wanted], slot: Slot) -> Wanted:
        want = wanted.get(slot.job)
        if want is None:
            want = wanted[slot.job] = Wanted(slot, state=False)
        return want

    def _lacks(self, slot: Slot, unit: str) -> bool:
        for at in self._keepers:  # noqa: SIM110  (any() takes three times as long, for each event of a unit)
            if self.projections[at].lacks_unit(slot.states[at], unit):
                return True
        return False

    def hashes(self, want: Wanted, keys: PartitionKeys) -> list[tuple[str, list[str]]]:
        """The hashes and fields that answer a `Wanted`: of the job's state, and of its units."""
        state = [*(self.state_fields if want.state else ()), *("src:" + source for source in want.sources)]
        job = want.slot.job
        return [(keys.state(job), state), (keys.units(job), list(want.units))]

    def place(self, want: Wanted, state: list[bytes | None], units: list[bytes | None]) -> None:
        """Put in place what was loaded, in the order of `hashes`."""
        slot = want.slot
        sources = state
        if want.state:
            own, sources = state[: len(self.state_fields)], state[len(self.state_fields) :]
            fields = dict(zip(self.state_fields, own, strict=True))
            if any(value is not None for value in own):
                slot.states = [projection.load(slot.job, fields) for projection in self.projections]
            else:
                slot.states = [projection.initial(slot.job) for projection in self.projections]
                slot.sources_complete = True
        for name, newest in zip(want.sources, sources, strict=True):
            if newest is not None:
                slot.sources[name] = int(newest)
        for name, saved in zip(want.units, units, strict=True):
            for at in self._keepers:
                if self.projections[at].lacks_unit(slot.states[at], name):
                    self.projections[at].load_unit(slot.states[at], name, saved)

    def fold(self, batch: Batch, touched: dict[str, Slot], *, carefully: bool) -> None:
        """Fold a batch. `carefully` also encodes after each event, so that the one that fails is found.

        Raises:
            Poison: by careful folding only; otherwise whatever a fold raised.
        """
        for job, events in batch.events.items():
            slot = touched[job]
            sources = slot.sources
            heard = slot.touched_sources or {}
            folds = tuple(zip(self._evolves, slot.states, strict=True))
            for recorded in events:
                event = recorded.event
                source, number = event.src, event.seq
                if source is not None and number is not None:
                    newest = sources.get(source)
                    if newest is not None and number <= newest:
                        recorded.mark = Mark.DUPLICATE
                    else:
                        sources[source] = heard[source] = number
                if carefully:
                    self._fold_carefully(slot, recorded)
                else:
                    for evolve, state in folds:
                        evolve(state, recorded)
            slot.touched_sources = heard or None

    def _fold_carefully(self, slot: Slot, recorded: RecordedEvent) -> None:
        try:
            for projection, state in zip(self.projections, slot.states, strict=True):
                projection.evolve(state, recorded)
                msgspec.json.encode(projection.view(state))
        except Exception as error:
            raise Poison(recorded.position, error) from error

    def save(self, batch: Batch, touched: dict[str, Slot], commit: Commit) -> None:
        """Put all that a batch changed into its commit."""
        for letter in batch.dead:
            commit.dead_letter(letter.position, letter.fields, letter.reason)
        for job, slot in touched.items():
            changes = [save(state) for save, state in zip(self._saves, slot.states, strict=True)]
            commit.job(job, slot.touched_sources, changes)
            slot.touched_sources = None
            weight = _OWN_WEIGHT + _SOURCE_WEIGHT * len(slot.sources)
            for change in changes:
                weight += change.weight
            slot.new_weight = weight

    def keep(self, touched: dict[str, Slot]) -> None:
        """Take the slots of a batch in, pinned until `unpin`."""
        slots = self._slots
        for job, slot in touched.items():
            slot.pins += 1
            self.weight += slot.new_weight - slot.weight
            slot.weight = slot.new_weight
            slots[job] = slot
            slots.move_to_end(job)

    def unpin(self, touched: dict[str, Slot]) -> None:
        """The commit of these slots is done: what they hold can be loaded again, so they may be evicted."""
        for slot in touched.values():
            slot.pins -= 1
        if self.overweight:
            self._evict(self.max_bytes * 9 // 10)

    @property
    def overweight(self) -> bool:
        """Whether more is kept than may be. Waiting for the commits on their way mends it."""
        return self.weight > self.max_bytes

    def _evict(self, goal: int) -> None:
        evicted = []
        weight = self.weight
        for slot in self._slots.values():
            if weight <= goal:
                break
            if not slot.pins:
                evicted.append(slot)
                weight -= slot.weight
        for slot in evicted:
            self._remove(slot)

    def forget(self, touched: dict[str, Slot]) -> None:
        """Forget the jobs of a batch, whose states aren't to be trusted any more."""
        for slot in touched.values():
            if self._slots.get(slot.job) is slot:
                self._remove(slot)

    def drop(self, partition: int) -> None:
        """Forget all of a partition."""
        for slot in [slot for slot in self._slots.values() if slot.partition == partition]:
            self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        del self._slots[slot.job]
        self.weight -= slot.weight
        slot.weight = 0  # a batch may have it in hand, and keep it again
