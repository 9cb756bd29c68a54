"""Which silence of a job is too long: longer than those that jobs of its kind come back from.

A run of a kind knows its longest silence. Three times what 19 in 20 of the runs that finished stayed below is too
long, but never less than `LEAST_MS`. Where hardly anything is known of a kind, `UNKNOWN_MS`: a false alarm costs more
trust than a late one. And a job that has come back from a longer silence itself may be silent for twice as long.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from projections.claims import lapse
from projections.effects import CAN_STALL
from projections.paths import Path, Run
from streamproc.events import Event
from streamproc.projection import Silence, parse_rfc3339

__all__ = ["LEAST_MS", "UNKNOWN_MS", "Stalls", "patience"]

LEAST_MS: Final = 30_000
UNKNOWN_MS: Final = 300_000
_KNOWN_RUNS: Final = 5
"""So many runs of a kind tell what is usual for it."""
_TIMES: Final = 3
_OWN_TIMES: Final = 2
_MOST_MS: Final = 365 * 86_400_000
_ALIVE_MS: Final = LEAST_MS
"""A worker that was heard of within this time is there: three heartbeats of the SDK."""


def patience(gaps: Sequence[int]) -> int:
    """How long jobs of a kind may be silent, in ms.

    Args:
        gaps: the longest silence of each of its runs, in ms.
    """
    usual = sorted(gaps)
    most = _TIMES * usual[(19 * len(usual) - 1) // 20] if usual else 0
    return min(_MOST_MS, max(most, LEAST_MS if len(usual) >= _KNOWN_RUNS else UNKNOWN_MS))


class _Facts(Struct):
    """What is read of a stored snapshot."""

    job_id: str
    status: str
    stalled: bool
    kind: str | None = None
    attempt: int = 1
    eta: Path | None = None
    started_at: str | None = None
    resumed_at: str | None = None
    progressed_at: str | None = None
    heard_at: str | None = None


_decode = msgspec.json.Decoder(_Facts).decode
_decode_run = msgspec.json.Decoder(Run).decode


class Stalls:
    """Finds the jobs that have been silent for too long. It keeps nothing; see `streamproc.projection.Stalls`."""

    indexes = tuple(f"status:{status}" for status in CAN_STALL)
    least = LEAST_MS
    claim_fields: tuple[str, ...] = ("snapshot", "sums", "claim")

    def silence(self, snapshot: bytes) -> Silence | None:
        """The silence of a job, or None where it can't stall now, or where nothing can be read of it."""
        try:
            facts = _decode(snapshot)
        except msgspec.DecodeError:
            return None
        times = [text for text in (facts.started_at, facts.resumed_at, facts.progressed_at) if text is not None]
        if facts.stalled or facts.status not in CAN_STALL or not times:
            return None
        heard = None if facts.heard_at is None else parse_rfc3339(facts.heard_at)
        usual = 0 if facts.eta is None else facts.eta.gap
        return Silence(facts.job_id, facts.kind, facts.attempt, max(map(parse_rfc3339, times)), heard, usual)

    def learn(self, runs: Sequence[bytes]) -> int:
        """How long jobs of a kind may be silent, in ms, by its runs that finished: others may have hung."""
        return patience([run.gap for run in map(_decode_run, runs) if run.outcome == "finished"])

    def patience(self, silence: Silence, kind: int | None) -> int:
        """How long a job may be silent, in ms; `kind` is what `learn` has made of its kind, or None."""
        return min(_MOST_MS, max(patience(()) if kind is None else kind, _OWN_TIMES * silence.usual))

    def event(self, silence: Silence, now: int) -> Event:
        """That it has stalled, and whether its worker is gone or stuck."""
        lasted = max(0, now - silence.since)
        heard = max(silence.since, silence.heard or 0)
        if heard > silence.since and now - heard <= _ALIVE_MS:
            reason = f"alive, but no progress for {_shown(lasted)}"
        else:
            reason = f"no sign of life for {_shown(now - heard)}"
        return Event(
            job=silence.job,
            type="job.stalled",
            attempt=silence.attempt,
            silent_seconds=lasted / 1000,
            reason=reason,
        )

    def lapse(self, fields: Sequence[bytes | None], now: int, up_since: int) -> Event | int | None:
        """What becomes of a job whose lease may have ended; see `projections.claims.lapse`."""
        try:
            return lapse(fields, now, up_since)
        except msgspec.DecodeError:
            return None


def _shown(ms: int) -> str:
    """A time for people, in its two largest units."""
    seconds = round(ms / 1000)
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"
