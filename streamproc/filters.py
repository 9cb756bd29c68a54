"""What a list of jobs is asked for: which jobs, in which order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from streamproc.indexes import FINISHED, STARTED, by_label, by_owner, by_state, by_worker, labels_of, words_of

__all__ = ["ACTIVE", "CREATED", "ORDERS", "STATUSES", "Filter", "Order", "Place"]

STATUSES: Final = ("queued", "started", "running", "paused", "finished", "failed", "canceled")
ACTIVE: Final = STATUSES[:4]
"""Of the jobs that haven't ended."""

Place = tuple[int, str]
"""Where a job stands in an order: what it is sorted by, in ms since 1970, and its id."""


class Order(Struct, frozen=True):
    """What jobs are sorted by, and which way; only jobs that have it are listed."""

    index: str
    newest_first: bool

    def sorted(self, places: Sequence[Place]) -> list[Place]:
        return sorted(places, reverse=self.newest_first)

    def is_after(self, place: Place, other: Place) -> bool:
        return place < other if self.newest_first else place > other

    def end_of(self, moment: int) -> Place:
        """The place after all jobs of a millisecond."""
        return (moment, "" if self.newest_first else "\x7f")


CREATED: Final = by_state(None, None)
ORDERS: Final[Mapping[str, Order]] = {
    f"{sign}{name}": Order(index, bool(sign))
    for name, index in (("created", CREATED), ("started", STARTED), ("finished", FINISHED))
    for sign in ("-", "")
}
"""By what they are called."""


class _Facts(Struct):
    """What is read of a snapshot."""

    status: str
    kind: str | None = None
    title: str | None = None
    worker: str | None = None
    owner: str | None = None
    labels: dict[str, str] = {}
    stalled: bool = False


_decode = msgspec.json.Decoder(_Facts).decode


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs are asked for: those that all of these are true of. None asks for nothing.

    Args:
        statuses, kinds, owners: one of these.
        labels: each of these, of those that a job is found by.
        worker: who reported on it last.
        stalled: whether it has been silent for too long.
        words: each begins a word of its title or id; as `words_of` gives them.
        shows: whether it may be shown, by its id.
    """

    statuses: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    owners: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    worker: str | None = None
    stalled: bool | None = None
    words: tuple[str, ...] = ()
    shows: Callable[[str], bool] | None = None

    def matches(self, job: str, snapshot: bytes) -> bool:
        """Whether a job is asked for, by its stored snapshot."""
        facts = _decode(snapshot)
        return (
            (self.statuses is None or facts.status in self.statuses)
            and (self.kinds is None or facts.kind in self.kinds)
            and (self.owners is None or facts.owner in self.owners)
            and (self.worker is None or facts.worker == self.worker)
            and (self.stalled is None or facts.stalled == self.stalled)
            and (not self.labels or set(self.labels) <= set(labels_of(facts.labels)))
            and (not self.words or self._has_words(words_of(facts.title or "") + words_of(job)))
        )

    def _has_words(self, words: list[str]) -> bool:
        return all(any(word.startswith(wanted) for word in words) for wanted in self.words)

    def indexes(self) -> list[tuple[str, ...]]:
        """Sets of indexes by creation: the jobs asked for are in one of each set."""
        found: list[tuple[str, ...]] = []
        if not (self.statuses is None and self.kinds is None and not self.stalled):
            states = [(status, kind) for status in self.statuses or (None,) for kind in self.kinds or (None,)]
            found.append(tuple(by_state(*state, stalled=bool(self.stalled)) for state in states))
        if self.owners is not None:
            found.append(tuple(map(by_owner, self.owners)))
        if self.worker is not None:
            found.append((by_worker(self.worker),))
        return found + [(by_label(*label),) for label in self.labels]

    @property
    def nothing(self) -> bool:
        """Whether it asks for one of no statuses, kinds or owners."""
        return () in (self.statuses, self.kinds, self.owners)
