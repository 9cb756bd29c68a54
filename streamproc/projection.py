"""What a projection is: a pure fold of one job's events, and what it writes.

The engine decides when to fold and when to write; a projection decides what an event means. It reads no clock and
no server, so that folding the log again gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from streamproc.events import Event, RecordedEvent
from streamproc.indexes import FINISHED, STARTED, by_label, by_owner, by_state, by_worker, labels_of, words_of
from streamproc.position import millis, parse_rfc3339, rfc3339
from streamproc.queues import CLAIMS, Claim, queue_member, queue_of

__all__ = [
    "CLAIMS",
    "FINISHED",
    "STARTED",
    "Changes",
    "Claim",
    "Estimator",
    "Projection",
    "Silence",
    "Stalls",
    "by_label",
    "by_owner",
    "by_state",
    "by_worker",
    "labels_of",
    "millis",
    "parse_rfc3339",
    "queue_member",
    "queue_of",
    "rfc3339",
    "words_of",
]

S = TypeVar("S")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Changes(Struct, gc=False):
    """What one projection writes for one job in one commit. Values are whole, never increments.

    Args:
        weight: about how many bytes of memory the state takes now.
        live: the field of the job's hash that watchers are sent too: its name and value.
        fields: more fields of the job's hash.
        entries: of the job's history: position and payload, in turn.
        marks: of those entries that have one, by position.
        units: state per unit, by name, for a projection that keeps it.
        ranks: where a new unit stands in the job's list of units, by name.
        units_dropped: the state of all units goes first, as at a new attempt.
        indexes: the job's score in an index of the partition, by the index's name; None takes it out.
        words: those that the job is found by from now on, or by False no more.
        queues: the job's place in a queue, or among the claims: the set, the member and its score; None takes it out.
        runs: attempts that ended, for what is kept of their kind (which `kinds` has): kind, position and run.
        kinds: the kinds that a job was named to be of, or ended as one of, and when, in ms since 1970.
    """

    weight: int
    live: tuple[str, bytes] | None = None
    fields: Mapping[str, bytes] = _NOTHING
    entries: Sequence[str | bytes] = ()
    marks: Mapping[str, str] = _NOTHING
    units: Mapping[str, bytes] = _NOTHING
    ranks: Mapping[str, int] = _NOTHING
    units_dropped: bool = False
    indexes: Mapping[str, int | None] = _NOTHING
    words: Mapping[str, bool] = _NOTHING
    queues: Sequence[tuple[str, str, int | None]] = ()
    runs: Sequence[tuple[str, str, bytes]] = ()
    kinds: Mapping[str, int] = _NOTHING


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


class Estimator(Protocol):
    """What a gateway needs to serve estimates. It knows nothing of projections; this is chosen with them.

    Args:
        shapes: the types of what is served: `Job`, `Unit`, `Moment`, `Summary`, `Details` and `Slow`, for the
            documents that tell of it.
    """

    shapes: tuple[type[Struct], ...]

    def kind(self, snapshot: bytes) -> str | None:
        """The kind whose runs the estimate of a stored snapshot needs, if any."""

    def learn(self, runs: Sequence[bytes], known: Any = None) -> Any:
        """What runs of a kind teach, the oldest first; `known` is what earlier ones taught, and becomes this."""

    def summary(self, runs: Sequence[tuple[int, bytes]]) -> Struct:
        """What is told of every kind: of its runs, each with when it ended in ms since 1970, the oldest first."""

    def details(self, runs: Sequence[tuple[int, bytes]]) -> Struct:
        """What is told of one kind, of the same. It may take a second."""

    def slow_after(self, summary: Any) -> float | None:
        """From how many seconds of work on a job of a kind is slow, by its summary; None where nothing is usual yet."""

    def slow(self, summary: Any, snapshot: bytes, now: int) -> Struct | None:
        """How slow a job is, by its kind's summary and its stored snapshot; None where it isn't.

        Args:
            now: the server's time, in ms since 1970.
        """

    def again(self, snapshot: bytes, now: int, last: Any) -> bytes | None:
        """A snapshot with the estimate that was served last, where that is of a moment ago and holds; else None."""

    def served(self, snapshot: bytes, learned: Any, now: int, last: Any) -> tuple[bytes, Any]:
        """A stored snapshot as it is served, and what of it must not jitter when it is served next.

        Args:
            learned: what `learn` made of its kind's runs; None where it has no kind.
            now: the server's time, in ms since 1970.
            last: what came back when the job was served last, or None.
        """

    def moment(self, snapshot: bytes, learned: Any, now: int, last: Any) -> tuple[Struct | None, Any]:
        """What is told of a past moment of a job, if anything, and what of it must not jitter in the next.

        Args:
            snapshot: as it was stored then.
            learned: what `learn` made of the runs of its kind that had ended; None where it had no kind.
            now: the moment, in ms since 1970.
            last: what came back for the moment before, or None.
        """


class Silence(Struct, frozen=True):
    """How long a job has said nothing of its progress. Times are in ms since 1970.

    Args:
        job: its id.
        kind: its kind, whose runs tell how long is too long.
        attempt: the current one.
        since: when it reported progress, or was taken up, last.
        heard: when its worker was heard of last at all; None where that was never.
        usual: the longest silence that it has come back from, in ms.
    """

    job: str
    kind: str | None
    attempt: int
    since: int
    heard: int | None
    usual: int


class Stalls(Protocol):
    """What a sweeper needs to find the jobs that have been silent for too long. It is chosen with the projections."""

    indexes: tuple[str, ...]
    """Which lists of jobs those can be on."""

    least: int
    """Below this no silence is too long, in ms, unless a setting says so."""

    def silence(self, snapshot: bytes) -> Silence | None:
        """The silence of a job, by its stored snapshot; None where it can't stall, or is known to have."""

    def learn(self, runs: Sequence[bytes]) -> Any:
        """What runs of a kind teach, the oldest first."""

    def patience(self, silence: Silence, kind: Any) -> int:
        """How long a silence may last, in ms; `kind` is what `learn` made of its kind's runs, or None."""

    def event(self, silence: Silence, now: int) -> Event:
        """What is appended where it has lasted for too long."""

    claim_fields: tuple[str, ...]
    """Which fields of a job's hash tell of the claim on it."""

    def lapse(self, fields: Sequence[bytes | None], now: int, up_since: int) -> Event | int | None:
        """What becomes of a job whose lease may have ended: an event; or when it ends; None where nobody holds it.

        Args:
            fields: those of `claim_fields`, as they are stored.
            now: in ms since 1970.
            up_since: when the server began to hear workers.
        """


AnyProjection = Projection[Any]
