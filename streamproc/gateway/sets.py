"""Moving sets: the jobs that match something and haven't ended, as they come and go, for clients that follow them.

A set is looked up every second, once for all clients that ask for the same. A job that is new to it joins; one that is
in it no longer leaves, after its final snapshot where it has ended. A job that came and ended between two look-ups
joins too, and leaves at once.
"""

import logging
from collections.abc import Hashable, Mapping
from typing import Final

import anyio
from msgspec.structs import replace

from streamproc.errors import ServerError
from streamproc.filters import ACTIVE, ORDERS, Filter
from streamproc.gateway import messages
from streamproc.gateway.clients import Client
from streamproc.gateway.fanout import Fanout
from streamproc.gateway.places import Start
from streamproc.listing import Listing
from streamproc.position import Token

__all__ = ["Member", "MovingSet", "Sets"]

MOST_JOBS: Final = 200
_LOOK_SECONDS: Final = 1.0
_NEWEST: Final = ORDERS["-created"]
_logger = logging.getLogger("streamproc.gateway")


class MovingSet:
    """Jobs that match and haven't ended, the newest 200.

    Args:
        wanted: what they match.

    Attributes:
        jobs: those that are in it, and those that have ended since the last look-up but one.
        horizons: up to where it is known which jobs were in it.
        members: who follows it.
    """

    def __init__(self, listing: Listing, fanout: Fanout, wanted: Filter) -> None:
        self.jobs: set[str] = set()
        self.horizons: Mapping[int, Token] = {}
        self.members: set[Member] = set()
        self._listing = listing
        self._fanout = fanout
        self._wanted = wanted
        self._active = replace(wanted, statuses=wanted.statuses or ACTIVE)
        self._newest: set[str] | None = None
        self._known = False
        self._looking = anyio.Lock()

    def member(self, client: Client, *, lossless: bool) -> "Member":
        """Somebody who is to follow it, until `end`."""
        member = Member(self._fanout, self, client, lossless=lossless)
        self.members.add(member)
        return member

    async def begin(self) -> None:
        """Look it up, where that has not been done. Raises `ServerError`."""
        async with self._looking:
            if not self._known:
                await self.look()

    async def look(self) -> None:
        """Look it up again. Raises `ServerError`."""
        horizons = self._fanout.hub.horizons
        active = {job for job, _ in (await self._listing.page(self._active, _NEWEST, None, MOST_JOBS)).jobs}
        self.jobs = active | await self._passed_by()
        self.horizons, self._known = horizons, True

    async def _passed_by(self) -> set[str]:
        """Jobs that are new since the last look-up, whatever has become of them."""
        if self._wanted.statuses is not None:
            return set()
        newest = [job for job, _ in (await self._listing.page(self._wanted, _NEWEST, None, MOST_JOBS)).jobs]
        known, self._newest = self._newest, set(newest)
        if known is None:
            return set()
        old = next((at for at, job in enumerate(newest) if job in known), len(newest))
        return set(newest[:old])


class Member:
    """A client of a moving set.

    Args:
        moving: the set.
        client: who follows it.
        lossless: every event, and not the newest snapshots.
    """

    def __init__(self, fanout: Fanout, moving: MovingSet, client: Client, *, lossless: bool) -> None:
        self._fanout = fanout
        self._moving = moving
        self._client = client
        self._lossless = lossless
        self._begun = False
        self._joined: set[str] = set()
        self._updating = anyio.Lock()

    async def begin(self) -> list[str]:
        """Follow the jobs that are in the set. Returns them. Raises `ServerError`."""
        async with self._updating:
            await self._moving.begin()
            jobs = await self._join()
            self._begun = True
            return jobs

    async def update(self) -> None:
        """Follow those that have joined, and leave those that have left. Raises `ServerError`."""
        async with self._updating:
            if not self._begun:
                return
            for job in self._joined - self._moving.jobs:
                self._leave(job)
            for job in await self._join():
                self._client.say(self._client.form("joined", messages.named(job), job, None))

    def end(self) -> list[str]:
        """Follow the set no longer. Returns the jobs that were followed."""
        self._moving.members.discard(self)
        jobs = sorted(self._joined & self._client.followers.keys())
        for job in jobs:
            self._fanout.leave(self._client, job)
        self._joined.clear()
        return jobs

    async def _join(self) -> list[str]:
        """Follow what is in the set and isn't followed."""
        client = self._client
        new = sorted(self._moving.jobs - client.followers.keys())[: max(0, MOST_JOBS - len(client.followers))]
        if new and client.reason is None:
            await self._fanout.follow(client, {job: self._start(job) for job in new}, lossless=self._lossless)
            self._joined.update(new)
        return new

    def _start(self, job: str) -> Start:
        places = self._client.places
        return Start() if places is None else places.start(job, self._fanout.hub.partition(job))

    def _leave(self, job: str) -> None:
        """Let a job go; one that has ended stays until the client has been told."""
        follower = self._client.followers.get(job)
        if follower is not None and not follower.done:
            live = follower.channel.watch.look()
            if live is not None and live.final:
                return
            self._client.say(self._client.form("left", messages.named(job), job, None))
        if follower is not None:
            self._fanout.leave(self._client, job)
        self._joined.discard(job)


class Sets:
    """The moving sets that somebody follows.

    Args:
        listing: to look them up.
        fanout: gives clients what happens to the jobs.
    """

    def __init__(self, listing: Listing, fanout: Fanout) -> None:
        self._listing = listing
        self._fanout = fanout
        self._sets: dict[Hashable, MovingSet] = {}

    def of(self, what: Hashable, wanted: Filter) -> MovingSet:
        """The set of a filter, which `what` tells from others."""
        moving = self._sets.get(what)
        if moving is None:
            moving = self._sets[what] = MovingSet(self._listing, self._fanout, wanted)
        return moving

    async def run(self) -> None:
        """Look sets up, until cancelled."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            for what, moving in list(self._sets.items()):
                if not moving.members:
                    del self._sets[what]
                    continue
                try:
                    await moving.look()
                    for member in list(moving.members):
                        await member.update()
                except ServerError as error:
                    _logger.debug("a moving set can't be looked up: %s", error)
