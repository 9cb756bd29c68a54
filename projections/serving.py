"""Estimates as they are served: in the snapshot's own bytes, where its path is stored."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from math import exp, log
from statistics import NormalDist
from typing import Final, Literal, cast

import msgspec
from msgspec import Struct

from projections.estimate import Estimate, Facts, estimate
from projections.job import JobSnapshot, Unit
from projections.kinds import Kind
from projections.paths import Path, Run
from projections.slow import Slow, slow, slow_after
from projections.summary import Details, Quantiles, Summary, details, quantile, summary
from streamproc.events import Error
from streamproc.projection import parse_rfc3339, rfc3339

__all__ = ["Estimator", "Job", "Last", "Learned", "Moment", "Shown", "steady"]

_TOLERANCE_MS: Final = 2000.0
_TOLERANCE: Final = 0.05
_LATER: Final = 0.5
"""By so many standard deviations of what remains `p50` may turn out later before it is shown so."""
_EARLIER: Final = 0.25
"""Likewise, both of them earlier."""
_MOST_EARLIER: Final = 3.0
_AT_P90: Final = NormalDist().inv_cdf(0.9)
_AGAIN_MS: Final = 250
"""An estimate is worked out as often; many snapshots may come in between."""
_LATEST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, as far as RFC 3339 goes."""


class Shown(Struct, frozen=True):
    """The finish instants that a job's watchers have seen last, in ms since 1970."""

    p50: float
    p90: float


class Learned(Struct, frozen=True):
    """What the runs of a kind have taught, and how long its jobs waited to start: in ms, rising."""

    kind: Kind
    waits: list[int]


class Last(Struct, frozen=True):
    """How a job was served last: when that was worked out, in which status, the JSON, and the instants in it."""

    made: int
    status: bytes
    eta: bytes
    shown: Shown | None


class _Stored(Facts, frozen=True):
    eta: Path | None = None
    attempt: int = 1
    created_at: str | None = None


class Instants(Struct, frozen=True):
    p50: str
    p90: str


class Eta(Struct, frozen=True):
    """What is served as `eta`: seconds and instants, or why there are none; of a queued job when it will start."""

    remaining_seconds: Quantiles | None
    finish_at: Instants | None
    basis: str | None
    reason: str | None
    start_at: Instants | None = None


Status = Literal["queued", "started", "running", "paused", "finished", "failed", "canceled"]


class Job(JobSnapshot):
    """A job as it is served. Times are RFC 3339 in UTC; what isn't known is null."""

    status: Status = "queued"
    requested: Literal["pause", "resume", "cancel"] | None = None
    error: Error | None = None
    eta: Eta | None = None


class Moment(Struct, frozen=True):
    """A moment of a job: how far it was, and what was estimated then."""

    at: str
    status: Status
    attempt: int
    percent: float | None
    eta: Eta | None


_decode = msgspec.json.Decoder(_Stored).decode
_decode_run = msgspec.json.Decoder(Run).decode
_encode = msgspec.json.Encoder().encode
_FINAL: Final = frozenset({"finished", "failed", "canceled"})


class Estimator:
    """Puts estimates into snapshots. It keeps nothing; see `streamproc.projection.Estimator`."""

    shapes: tuple[type[Struct], ...] = (Job, Unit, Moment, Summary, Details, Slow)

    def kind(self, snapshot: bytes) -> str | None:
        """The kind whose runs the estimate of a snapshot needs, if any."""
        facts = _read(snapshot)
        return None if facts is None or facts.status in _FINAL else facts.kind

    def learn(self, runs: Sequence[bytes], known: Learned | None = None) -> Learned:
        """What runs of a kind teach, the oldest first; `known` is what earlier ones taught, and becomes this."""
        learned = known or Learned(Kind(), [])
        for each in runs:
            run = _decode_run(each)
            learned.kind.learn(run)
            insort(learned.waits, run.waited)
        return learned

    def summary(self, runs: Sequence[tuple[int, bytes]]) -> Summary:
        """What is told of every kind."""
        return summary(runs)

    def details(self, runs: Sequence[tuple[int, bytes]]) -> Details:
        """What is told of one kind."""
        return details(runs)

    def slow_after(self, summary: Summary) -> float | None:
        """From how many seconds of work on a job of a kind is slow; None where nothing is usual yet."""
        return slow_after(summary)

    def slow(self, summary: Summary, snapshot: bytes, now: int) -> Slow | None:
        """How slow a job of a kind is, by its stored snapshot; None where it isn't."""
        facts = _read(snapshot)
        return None if facts is None or facts.eta is None else slow(summary, facts.eta, now)

    def again(self, snapshot: bytes, now: int, last: Last | None) -> bytes | None:
        """A later snapshot with the estimate of a moment ago; None where that is too old, or of another status."""
        if last is None or not 0 <= now - last.made < _AGAIN_MS or _status(snapshot) != last.status:
            return None
        return _spliced(snapshot, last.eta)

    def served(
        self, snapshot: bytes, learned: Learned | None, now: int, last: Last | None
    ) -> tuple[bytes, Last | None]:
        """A stored snapshot as it is served, and the estimate in it.

        Args:
            learned: what `learn` made of its kind's runs.
            now: the server's time, in ms since 1970.
            last: what came back when the job was served last.
        """
        facts = _read(snapshot)
        if facts is None or facts.status in _FINAL:
            return snapshot, None
        told, shown = _told(facts, learned, now, None if last is None else last.shown)
        eta = _encode(told)
        return _spliced(snapshot, eta), Last(now, _status(snapshot), eta, shown)

    def moment(
        self, snapshot: bytes, learned: Learned | None, now: int, last: Shown | None
    ) -> tuple[Moment | None, Shown | None]:
        """What is told of a past moment of a job, by what was stored of it then.

        Args:
            learned: what `learn` made of the runs of its kind that had ended.
            now: the moment, in ms since 1970.
            last: what came back for the moment before.
        """
        facts = _read(snapshot)
        if facts is None:
            return None, last
        told, shown = (None, None) if facts.status in _FINAL else _told(facts, learned, now, last)
        return Moment(rfc3339(now), cast("Status", facts.status), facts.attempt, facts.percent, told), shown


def _told(facts: _Stored, learned: Learned | None, now: int, last: Shown | None) -> tuple[Eta, Shown | None]:
    """The estimate of a job that goes on, and the instants in it."""
    found = estimate(facts, facts.eta or Path(), None if learned is None else learned.kind, now)
    shown = steady(found, now, last)
    start_at = _start(facts, learned.waits, now) if found.reason == "queued" and learned is not None else None
    return _eta(found, shown, now, start_at), shown


def _spliced(snapshot: bytes, eta: bytes) -> bytes:
    # Behind `eta` there are only times and counts, and no text can hold a bare quote.
    start, end = snapshot.rindex(b',"eta":') + 7, snapshot.rindex(b',"created_at":')
    return b"%b%b%b" % (snapshot[:start], eta, snapshot[end:])


def _status(snapshot: bytes) -> bytes:
    start = snapshot.find(b'"status":"') + 10
    return snapshot[start : snapshot.find(b'"', start)]


def _read(snapshot: bytes) -> _Stored | None:
    """What a snapshot says, or None where it is another version's or nobody's."""
    try:
        return _decode(snapshot)
    except msgspec.DecodeError:
        return None


def steady(found: Estimate, now: int, shown: Shown | None) -> Shown | None:
    """The finish instants to show: each as it was shown before, or no further from it than it must be.

    There is a band around each fresh one, in which one is about as good as the other: 5 %, 2 s, or a part of the
    interval. What was shown stays within it, and moves to its edge otherwise; but where `p50` turns out earlier by more
    than that, it is shown as it is.
    """
    if found.p50 is None or found.p90 is None or found.reason is not None:
        return None
    if shown is None:
        return Shown(now + found.p50, now + found.p90)
    spread = log(max(found.p90, 1.0) / max(found.p50, 1.0)) / _AT_P90
    low, high = _band(found.p50, _LATER * spread, _EARLIER * spread)
    p50 = found.p50 if shown.p50 - now > high else max(low, shown.p50 - now)
    low, high = _band(found.p90, 0.0, _EARLIER * spread)
    p90 = min(high, max(low, shown.p90 - now))
    return Shown(now + p50, now + max(p50, p90))


def _band(left: float, later: float, earlier: float) -> tuple[float, float]:
    """What may be shown of what remains, where it turned out later or earlier than was shown."""
    about = max(_TOLERANCE * left, min(_TOLERANCE_MS, 0.5 * left))
    return min(left - about, left * exp(-later)), max(left + about, left * exp(min(earlier, _MOST_EARLIER)))


def _start(facts: _Stored, waits: list[int], now: int) -> Instants | None:
    """When a queued job will start, as those did that waited longer than it has; None where none of them did."""
    path = facts.eta or Path()
    since = path.since or path.queued
    if since is None:
        since = now if facts.created_at is None else parse_rfc3339(facts.created_at)
    longer = waits[bisect_right(waits, now - since) :]
    if not longer:
        return None
    return Instants(_instant(since + quantile(longer, 0.5)), _instant(since + quantile(longer, 0.9)))


def _eta(found: Estimate, shown: Shown | None, now: int, start_at: Instants | None) -> Eta:
    if shown is not None:
        remaining = Quantiles(_seconds(shown.p50 - now), _seconds(shown.p90 - now))
        return Eta(remaining, Instants(_instant(shown.p50), _instant(shown.p90)), found.basis, None)
    remaining_too = None
    if found.p50 is not None and found.p90 is not None:
        remaining_too = Quantiles(_seconds(found.p50), _seconds(found.p90))
    return Eta(remaining_too, None, found.basis, found.reason, start_at)


def _seconds(ms: float) -> float:
    return max(0.0, round(ms / 1000, 1))


def _instant(ms: float) -> str:
    return rfc3339(int(min(ms, _LATEST_MS)))
