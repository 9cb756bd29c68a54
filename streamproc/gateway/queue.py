"""Workers that wait here for a job: one look into the queues for all of them, and each job is offered to one.

While somebody waits the queues are read about ten times a second, and at once for a newcomer, in one round trip however
many wait. So a job that comes in wakes one worker of each gateway, and not all of them.
"""

import random
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import anyio

from streamproc.claims import Claims, Waiting
from streamproc.errors import ServerError

__all__ = ["Place", "Queue"]

_LOOK_SECONDS: Final = 0.1
_MOST: Final = 1000
"""So many jobs of a queue in a partition are looked at, at most."""
_BEHIND: Final = 32
"""So many more of each partition for a worker that may not have every job."""

_Heads = dict[str | None, deque[Waiting]]


class Place:
    """A worker's place among those that wait. Use it in a ``with``.

    Args:
        kinds: of the jobs that it takes; None is all.
        limited: whether not every job is its to have.

    Attributes:
        passed: the jobs that it isn't offered any more.
        behind: those that come next after what it is offered, where it is limited.
    """

    def __init__(self, queue: "Queue", kinds: Sequence[str] | None, *, limited: bool) -> None:
        self.kinds: Sequence[str | None] = (None,) if kinds is None else kinds
        self.limited = limited
        self.passed: set[str] = set()
        self.behind: list[str] = []
        self.offer: Waiting | None = None
        self.error: ServerError | None = None
        self.looked = anyio.Event()
        self.offered = anyio.Event()
        self._queue = queue

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._queue.leave(self)

    async def next(self, deadline: float) -> Waiting | None:
        """A job that is offered to nobody else here, nor was to this worker before; None where none comes in time.

        Raises:
            ServerError: the queues can't be read.
        """
        self._queue.enter(self)
        await self.looked.wait()
        with anyio.move_on_at(deadline):
            await self.offered.wait()
        self._queue.step_out(self)
        if self.error is not None:
            raise type(self.error)(str(self.error)) from self.error
        return self.offer


class Queue:
    """The workers that wait in this gateway."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._places: dict[Place, None] = {}
        self._in_hand: set[str] = set()
        self._entered = anyio.Event()
        self._closed = False

    def place(self, kinds: Sequence[str] | None, *, limited: bool) -> Place:
        """A place for a worker that takes jobs of some kinds; None is all. It is `limited` where some aren't its."""
        return Place(self, kinds, limited=limited)

    def close(self) -> None:
        """Send everybody away: the gateway is stopping."""
        self._closed = True
        for place in list(self._places):
            self._dismiss(place)

    async def run(self) -> None:
        """Look for those who wait, until cancelled."""
        while True:
            await self._entered.wait()
            self._entered = anyio.Event()
            await self._look(list(self._places))
            if self._places:
                with anyio.move_on_after(_LOOK_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311 - to spread gateways
                    await self._entered.wait()
                self._entered.set()

    # What places do ----------------------------------------------------------------------------------------------

    def enter(self, place: Place) -> None:
        self._put_back(place)
        place.looked, place.offered = anyio.Event(), anyio.Event()
        self._places[place] = None
        self._entered.set()
        if self._closed:
            self._dismiss(place)

    def step_out(self, place: Place) -> None:
        self._places.pop(place, None)

    def leave(self, place: Place) -> None:
        self.step_out(place)
        self._put_back(place)

    def _put_back(self, place: Place) -> None:
        if place.offer is not None:
            self._in_hand.discard(place.offer.job)
            place.offer = None

    def _dismiss(self, place: Place) -> None:
        self.step_out(place)
        place.looked.set()
        place.offered.set()

    # Looking -----------------------------------------------------------------------------------------------------

    async def _look(self, places: Sequence[Place]) -> None:
        kinds = {kind for place in places for kind in place.kinds}
        most = len(places) + len(self._in_hand) + max((len(place.passed) for place in places), default=0)
        most += _BEHIND if any(place.limited for place in places) else 0
        try:
            found = await self._claims.heads(kinds, min(most, _MOST))
        except ServerError as error:
            for place in places:
                place.error = error
                self._dismiss(place)
            return
        heads = {kind: deque(waiting) for kind, waiting in found.items()}
        for place in places:
            place.looked.set()
            offer = self._best(heads, place) if place in self._places else None
            if offer is not None:
                self._in_hand.add(offer.job)
                place.passed.add(offer.job)
                place.offer = offer
                if place.limited:
                    place.behind = self._behind(heads, place)
                self.step_out(place)
                place.offered.set()

    def _best(self, heads: _Heads, place: Place) -> Waiting | None:
        firsts = (self._first(heads[kind], place.passed) for kind in place.kinds)
        return min((first for first in firsts if first is not None), default=None)

    def _behind(self, heads: _Heads, place: Place) -> list[str]:
        return list({each.job: None for kind in place.kinds for each in heads[kind] if each.job not in place.passed})

    def _first(self, waiting: deque[Waiting], passed: set[str]) -> Waiting | None:
        while waiting and waiting[0].job in self._in_hand:
            waiting.popleft()
        return next((each for each in waiting if each.job not in passed and each.job not in self._in_hand), None)
