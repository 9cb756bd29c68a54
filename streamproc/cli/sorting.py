"""The orders of ``top``, and the columns that show what jobs are ordered by."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from streamproc.cli.clock import Clock
    from streamproc.cli.rates import Rates

__all__ = ["KEYS", "SORTS", "Order", "silent_since"]

Json = dict[str, Any]

KEYS: Final = {
    "T": "left",
    "P": "percent",
    "R": "rate",
    "A": "age",
    "S": "silent",
    "J": "job",
    "K": "kind",
    "G": "stage",
    "W": "worker",
    "!": "stalled",
}
"""What each order is typed by, and what it is called."""
SORTS: Final = tuple(KEYS.values())


class Order(NamedTuple):
    """What jobs are ordered by, and whether the other way round.

    Args:
        name: of `SORTS`.
    """

    name: str
    reverse: bool = False

    @property
    def said(self) -> str:
        """As people are told of it."""
        return f"by {self.name}{', reversed' if self.reverse else ''}"

    def sorted(self, jobs: Iterable[Json], rates: "Rates", clock: "Clock", now: float) -> list[Json]:
        """Jobs in this order; those of which it isn't known are last either way."""
        key = _KEYS[self.name]
        keys = [(key(job, rates, clock, now), job["job_id"], job) for job in jobs]
        known = sorted((each for each in keys if each[0] is not None), key=lambda each: each[:2], reverse=self.reverse)
        unknown = sorted((each for each in keys if each[0] is None), key=lambda each: each[1])
        return [job for _, _, job in (*known, *unknown)]


def silent_since(job: Json) -> str | None:
    """When a job that is at work reported progress last, or began to; None where it isn't at work."""
    if job["status"] not in ("started", "running"):
        return None
    return max(job[name] or "" for name in ("started_at", "resumed_at", "progressed_at")) or None


def _left(job: Json) -> float | None:
    remaining = (job["eta"] or {}).get("remaining_seconds")
    return None if remaining is None else float(remaining["p50"])


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


_Key = Callable[[Json, "Rates", "Clock", float], Any]
_KEYS: Final[dict[str, _Key]] = {
    "left": lambda job, rates, clock, now: _left(job),
    "percent": lambda job, rates, clock, now: _negative(job["percent"]),
    "rate": lambda job, rates, clock, now: _negative(rates.per_second(job, now)),
    "age": lambda job, rates, clock, now: job["created_at"],
    "silent": lambda job, rates, clock, now: silent_since(job),
    "job": lambda job, rates, clock, now: job["job_id"],
    "kind": lambda job, rates, clock, now: job["kind"],
    "stage": lambda job, rates, clock, now: job["current_stage"],
    "worker": lambda job, rates, clock, now: job["worker"],
    "stalled": lambda job, rates, clock, now: not job["stalled"],
}
