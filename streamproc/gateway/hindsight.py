"""Estimates as they were made at past moments: by the job as it was, and the runs of its kind that had ended then.

What was foretold isn't kept, but all that it was made of is. Of the runs of a kind the latest are kept, by which even
those are among them that had ended since; they are left out, the job's own run too. Where many have ended since, the
oldest that were known then are gone, and the estimate is a little worse informed than it was; where none that counts
for much is gone, it is the one that was made, but for how far the projector and the gateway were behind.
"""

import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import anyio.to_thread
import msgspec
from msgspec import Struct

from streamproc.errors import PastPending
from streamproc.past import Past, Place
from streamproc.position import parse_rfc3339
from streamproc.projection import Estimator
from streamproc.runs import Runs

__all__ = ["Hindsight"]

_RUNS: Final = 400
"""Read of a kind: so far back it is known which had ended when."""
_LEARNED: Final = 100
"""Of them those are learned from that were the latest, as where estimates are served."""
_FRESH_SECONDS: Final = 5.0
_MOST_KINDS: Final = 4
_MOST_LESSONS: Final = 32
_MOST_UNFINISHED: Final = 8
_LAST: Final = 2**64 - 1

Run = tuple[int, bytes]
"""When it ended, in ms since 1970, and the run."""

_encode: Final = msgspec.json.Encoder().encode


class _Facts(Struct):
    """What is read of a snapshot."""

    created_at: str
    finished_at: str | None
    events: int


_decode: Final = msgspec.json.Decoder(_Facts).decode


class _Course:
    """What the runs of a kind had taught by moments that rise."""

    def __init__(self, runs: Sequence[Run], estimator: Estimator) -> None:
        self._runs = runs
        self._estimator = estimator
        self._learned: Any = None
        self._taken = 0

    async def learned(self, moment: int) -> Any:
        """By the runs that had ended before a moment."""
        ended = _ended(self._runs, moment)
        if self._learned is None:
            self._learned = await _learn(self._estimator, self._runs[:ended][-_LEARNED:])
        elif self._taken < ended:
            self._learned = await _learn(self._estimator, self._runs[self._taken : ended], self._learned)
        self._taken = ended
        return self._learned


class _Way(Struct):
    """A way that is being worked out: for which moments, and as far as it has come.

    Args:
        ends: even in time, the last being the end of it.
        every: so many events are a moment too.
        found: when each moment was, and what is told of it, as JSON.
        last: what must not jitter in the next.
    """

    ends: list[Place]
    every: int | None
    courses: dict[str, _Course]
    found: list[tuple[int, bytes]] = []
    last: Any = None


class Hindsight:
    """The past of a namespace's jobs, with the estimates as they were.

    Args:
        runs: where the runs of kinds are.
        past: folds histories.
        estimator: what makes estimates.
    """

    def __init__(self, runs: Runs, past: Past, estimator: Estimator) -> None:
        self._runs = runs
        self._past = past
        self._estimator = estimator
        self._read: OrderedDict[str, tuple[float, list[Run]]] = OrderedDict()
        self._lessons: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._unfinished: OrderedDict[tuple[Any, ...], _Way] = OrderedDict()

    async def snapshot(self, job: str, life: str, stored: bytes, end: Place) -> bytes | None:
        """A job's snapshot as it was served after its last event that isn't beyond an end; None where it hadn't any.

        The instants of its estimate are fresh ones: where they stood before isn't looked for.

        Args:
            life: of the job's partition.
            stored: the job's snapshot as it is stored now.
            end: a position, whose time is the estimate's; now, where that is yet to come.

        Raises:
            PastGone: the history doesn't reach back to there.
            PastPending: it has been folded a part of the way. Ask again.
            ServerError: it can't be read.
        """
        then = await self._past.snapshot(job, life, stored, end)
        if then is None:
            return None
        kind = self._estimator.kind(then)
        moment = min(end[0], await self._now())
        learned = None if kind is None else await self._lesson(kind, moment)
        served, _ = self._estimator.served(then, learned, moment, None)
        return served

    async def way(self, job: str, life: str, stored: bytes, end: Place | None, points: int) -> list[bytes]:
        """The way of a job, up to an end or to where it is: at most so many moments, the first and the last included.

        They are even in time, so that one sees what silence does to an estimate; up to half of them are even in
        events, so that what happens at once is seen so. Their instants move as those that are watched: when they must.

        Args:
            points: 2 at least.

        Returns: JSON of each, as the estimator's `moment` tells it; none where the job wasn't there yet.

        Raises: what `snapshot` does.
        """
        whose = (job, life, end, points)
        way = self._unfinished.pop(whose, None) or await self._begun(stored, end, points)

        async def seen(place: Place, snapshot: bytes | None) -> None:
            if snapshot is not None:
                await self._tell(way, place[0], snapshot)

        ends = [place for place in way.ends if not way.found or place[0] > way.found[-1][0]]
        if ends:
            try:
                await self._past.walk(job, life, stored, ends, seen, every=way.every)
            except PastPending:
                self._unfinished[whose] = way
                while len(self._unfinished) > _MOST_UNFINISHED:
                    self._unfinished.popitem(last=False)
                raise
        return [told for _, told in way.found]

    async def _tell(self, way: _Way, moment: int, snapshot: bytes) -> None:
        if way.found and moment < way.found[-1][0]:
            return  # it was told of when the walk came by here before
        kind = self._estimator.kind(snapshot)
        if kind is not None and kind not in way.courses:
            way.courses[kind] = _Course(await self._latest(kind), self._estimator)
        learned = None if kind is None else await way.courses[kind].learned(moment)
        told, way.last = self._estimator.moment(snapshot, learned, moment, way.last)
        if told is None:
            return
        if way.found and way.found[-1][0] == moment:
            way.found.pop()
        way.found.append((moment, _encode(told)))

    async def _begun(self, stored: bytes, end: Place | None, points: int) -> _Way:
        facts = _decode(stored)
        now = await self._now()
        first = parse_rfc3339(facts.created_at)
        last = now if facts.finished_at is None else parse_rfc3339(facts.finished_at)
        final = (max(first, last), _LAST)
        if end is not None:
            final = min(final, end)
        if final < (first, 0):
            return _Way([], None, {})
        by_event = min(facts.events, points // 2 - 1)
        steps = points - by_event - 1
        span = final[0] - first
        ends = sorted({(first + span * step // steps, _LAST) for step in range(steps)})
        every = -(-facts.events // by_event) if by_event else None
        return _Way([*(each for each in ends if each < final), final], every, {})

    async def _now(self) -> int:
        """The server's time in ms since 1970."""
        _, now = await self._runs.latest([], 0)
        return now

    async def _latest(self, kind: str) -> list[Run]:
        """The latest runs of a kind, the oldest first, read anew after some seconds."""
        kept = self._read.get(kind)
        if kept is None or time.monotonic() - kept[0] > _FRESH_SECONDS:
            [runs], _ = await self._runs.latest([kind], _RUNS)
            kept = self._read[kind] = time.monotonic(), runs
            while len(self._read) > _MOST_KINDS:
                self._read.popitem(last=False)
        return kept[1]

    async def _lesson(self, kind: str, moment: int) -> Any:
        """What runs of a kind had taught by a moment. Who moves about in a job's past mostly wants the same again."""
        runs = await self._latest(kind)
        ended = runs[: _ended(runs, moment)]
        key = (kind, len(ended), *(ended[-1] if ended else ()))
        learned = self._lessons.get(key)
        if learned is None:
            learned = self._lessons[key] = await _learn(self._estimator, ended[-_LEARNED:])
            while len(self._lessons) > _MOST_LESSONS:
                self._lessons.popitem(last=False)
        return learned


def _ended(runs: Sequence[Run], moment: int) -> int:
    """How many of some runs, the oldest first, had ended before a moment."""
    return bisect_left(runs, moment, key=lambda run: run[0])


async def _learn(estimator: Estimator, runs: Sequence[Run], known: Any = None) -> Any:
    # In a thread: a hundred runs take a tenth of a second, and others are served meanwhile.
    return await anyio.to_thread.run_sync(estimator.learn, [run for _, run in runs], known)
