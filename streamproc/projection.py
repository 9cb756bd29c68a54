"""What a projection is: a pure fold of one job's events, and what it writes.

The engine decides when to fold and when to write; a projection decides what an event means. It reads no clock and
no server, so that folding the log again gives the same bytes.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from streamproc.events import RecordedEvent
from streamproc.position import millis, parse_rfc3339, rfc3339

__all__ = ["Changes", "Projection", "millis", "parse_rfc3339", "rfc3339"]

S = TypeVar("S")


class Changes(Struct, gc=False):
    """What one projection writes for one job in one commit. Values are whole, never increments.

    Args:
        fields: fields of the job's hash.
        entries: of the job's history: position, payload, and the mark or None.
        units: state per unit, by name, for a projection that keeps it.
        ranks: where a new unit stands in the job's list of units, by name.
        units_dropped: the state of all units goes first, as at a new attempt.
        indexes: the job's score in an index of the partition, by the index's name; None takes it out.
        live: what watchers of the job are sent.
    """

    fields: dict[str, bytes] = {}
    entries: list[tuple[str, bytes, str | None]] = []
    units: dict[str, bytes] = {}
    ranks: dict[str, int] = {}
    units_dropped: bool = False
    indexes: dict[str, int | None] = {}
    live: bytes | None = None


class Projection(Protocol[S]):
    """One fold over every job's events. `S` is its state of one job, and is changed in place.

    Args:
        name: names it in keys and in metrics.
        version: rises when the same events would give other bytes.
        fields: the fields of the job's hash that `load` needs.
        keeps_units: whether it keeps state per unit.
    """

    name: str
    version: int
    fields: tuple[str, ...]
    keeps_units: bool

    def initial(self, job: str) -> S:
        """The state before the job's first event."""

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> S:
        """The state as it was last saved; `fields` has those that the projection named."""

    def evolve(self, state: S, recorded: RecordedEvent, /) -> None:
        """Fold one event into the state. It may set the event's mark for the projections after it."""

    def view(self, state: S) -> Struct:
        """What is served."""

    def save(self, state: S) -> Changes:
        """What changed since the last save. The state counts as saved after it."""

    def lacks_unit(self, state: S, unit: str) -> bool:
        """Whether a unit's saved state must be loaded before an event about it can be folded."""

    def load_unit(self, state: S, unit: str, saved: bytes | None) -> None:
        """Put a unit's saved state in place, or note that it has none."""

    def weigh(self, state: S) -> int:
        """About how many bytes of memory the state takes."""


AnyProjection = Projection[Any]
