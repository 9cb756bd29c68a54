"""The hub: one subscription and one read per watched job, for all clients that watch it here.

How replay meets live. The truth of a job is in the store: its history stream, and its snapshot, which ends in
the position of the last event that it holds. Both are written in one atomic step, the commit, which also publishes the
snapshot on the job's channel, its *doorbell*. A doorbell can be lost, and can come before or after the reply to a
read that was sent earlier. So nothing here rests on doorbells arriving, or on their order:

- *Subscribe, then read.* A job is read only once the server has confirmed the subscription to its channel. What was
  committed before the read is in what was read; what is committed after it rings. Nothing falls in between.
- *Positions decide.* Whatever says of a job what its position is, a doorbell or a read, is taken when its position
  is beyond the one known, and else is old news. So what clients see of a job only goes forward, and nothing
  is shown twice.
- *A doorbell only says that there is something to read.* A snapshot client takes the newest snapshot each time it is
  ready for one; what it missed in between is conflated, and there is one copy of it for all clients. An event client
  reads history pages after its own position, however many doorbells rang, until it has the position that it had
  looked at *before* it read, and then waits for the job to change again; a commit during the read has changed it by
  then. Those who wait at one position are given the page after it by one read; whoever isn't there any more when
  it comes reads for himself. So the replay of a history and its live tail are one loop, without a seam.
- *Every few seconds all watched jobs are read again*, in few round trips for all of them, and so they are after the
  subscription's connection was lost. A lost doorbell costs a delay. Where the cursor of a partition stood before
  such a round, no watched job of it is known to less: that is the partition's *horizon*. Who has been given all that
  is known of some jobs has all that happened to them up to there, and one position says so for all of them.

When the past changes. A partition whose log was emptied has a new incarnation; a server that came back with less than
it had acknowledged has a lower position. A read that shows one of them begins a new *life* of the job: clients compare
the life they began with, say `reset`, and start over. A read may be overtaken by a doorbell, so a position counts as
gone back only when it is lower than the one that was known when the read was sent.

Memory: one snapshot per watched job, and nothing per client but its place. A job that nobody watches is
dropped, with its subscription, at the next round.
"""

import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

import anyio
from anyio.abc import TaskStatus

from streamproc.errors import ServerError, ServerUnavailable
from streamproc.gathering import Gathering, Reply
from streamproc.keys import Keys
from streamproc.log import Entry
from streamproc.position import Token
from streamproc.store import Store
from streamproc.subscription import Subscription
from streamproc.watched import Live, Place, Watched, live_of

__all__ = ["PAGE", "Hub", "Live", "Page", "Place", "Watch"]

ROUND_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = 0.5
_READ_JOBS: Final = 500
_READ_PAGES: Final = 50
PAGE: Final = 100
"""Entries of a page of a history; the last one has fewer."""
Page = Reply[Sequence[Entry]]
_logger = logging.getLogger("streamproc.hub")


class Watch:
    """A view of a job, of one client or of many. Use it in a ``with``, so that the job is let go."""

    __slots__ = ("_hub", "_job", "_seen", "_told")

    def __init__(self, hub: "Hub", job: Watched, told: Callable[[], None] | None) -> None:
        self._hub = hub
        self._job = job
        self._seen = job.version
        self._told = told
        if told is not None:
            job.listeners.add(told)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._job.watchers -= 1
        if self._told is not None:
            self._job.listeners.discard(self._told)

    @property
    def partition(self) -> int:
        return self._job.partition

    @property
    def life(self) -> int:
        """Rises when the job's past is not what it was: what was seen before counts no more."""
        return self._job.life

    @property
    def ended(self) -> Live | None:
        """The newest final state that was seen; a job that was begun anew since has left it behind."""
        return self._job.ended

    @property
    def closed(self) -> bool:
        """Whether the gateway is stopping."""
        return self._hub.closed

    def look(self) -> Live | None:
        """The job as it is now, or None where nothing of it was folded; `changed` waits for another."""
        self._seen = self._job.version
        return self._job.now

    async def changed(self) -> None:
        """Wait until the job is not what was last looked at, or the gateway is stopping."""
        job = self._job
        while job.version == self._seen and not self._hub.closed:
            if job.bell is None:
                job.bell = anyio.Event()
            await job.bell.wait()

    async def refresh(self) -> None:
        """Read the job now. Raises `ServerError`."""
        await self._hub.read([self._job])

    def page(self, after: str) -> Page:
        """The page of the job's history after a position, which is being read; wait for it."""
        return self._hub.pages.want((self._job.name, after))

    async def history(self, after: str) -> Sequence[Entry]:
        """A page of the job's history after a position; the last one has fewer than `PAGE`. Raises `ServerError`."""
        return await self.page(after).wait()


class Hub:
    """Watches jobs for clients.

    Args:
        url: of the server, for the subscription's own connection.
        keys: the namespace.
        store: for reads.

    Attributes:
        horizons: of each watched partition, up to where all its watched jobs are known.
        pages: of histories, by the job and the position before.
        snapshots: of jobs, watched or not.
    """

    def __init__(self, url: str, keys: Keys, store: Store) -> None:
        self.store = store
        self.pages = Gathering(self._histories, _READ_PAGES)
        self.snapshots = Gathering(self._snapshots, _READ_JOBS)
        self.closed = False
        self.horizons: dict[int, Token] = {}
        self._keys = keys
        self._jobs: dict[bytes, Watched] = {}
        self._loading = Gathering(self._load, _READ_JOBS)
        self._doubtful: set[Watched] = set()
        self._doubt = anyio.Event()
        self._connected = anyio.Event()
        self._subscription = Subscription(url, self._heard, self._restored)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve watches until cancelled. Started once the server has been heard."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._subscription.run)
            tasks.start_soon(self._rounds)
            tasks.start_soon(self._loading.run)
            tasks.start_soon(self.pages.run)
            tasks.start_soon(self.snapshots.run)
            await self._connected.wait()
            task_status.started()

    def close(self) -> None:
        """Tell all watches that the gateway is stopping."""
        self.closed = True
        for job in self._jobs.values():
            job.ring()

    async def watch(self, name: str) -> Watch:
        """Watch a job, known or not.

        Raises:
            ServerError: it can't be subscribed to, or read.
        """
        [watch] = await self.watch_all([name], [None])
        return watch

    async def watch_all(self, names: Sequence[str], told: Sequence[Callable[[], None] | None]) -> list[Watch]:
        """Watch many jobs, in few round trips.

        Args:
            names: of the jobs.
            told: for each what is called whenever it changes, if anything.

        Raises:
            ServerError: one can't be subscribed to, or read. None is watched then.
        """
        jobs = [self._job(name) for name in names]
        for job in jobs:
            job.watchers += 1
        try:
            await self._subscription.subscribe(*(job.channel for job in jobs))
            for reply in [self._loading.want(job) for job in jobs if not job.loaded]:
                await reply.wait()
        except BaseException:
            for job in jobs:
                job.watchers -= 1
            raise
        return [Watch(self, job, each) for job, each in zip(jobs, told, strict=True)]

    def partition(self, name: str) -> int:
        return self._keys.of(name).partition

    def _job(self, name: str) -> Watched:
        keys = self._keys.of(name)
        channel = keys.live(name)
        return self._jobs.setdefault(channel.encode(), Watched(name, channel, keys.partition))

    async def read(self, jobs: Sequence[Watched]) -> None:
        """Read jobs, and let each take what it hasn't seen. Raises `ServerError` where none can be read."""
        known = [None if job.now is None else job.now.place for job in jobs]
        found = await self.store.states([job.name for job in jobs])
        for job, place, state in zip(jobs, known, found, strict=True):
            try:
                if isinstance(state, ServerError):
                    raise state
                incarnation, snapshot = state
                job.read(place, incarnation, None if snapshot is None else live_of(incarnation, snapshot))
                job.error = None
            except ServerError as error:
                if job.error is None:
                    _logger.error("job %s can't be shown: %s", job.name, error)
                job.error = error

    async def _load(self, jobs: list[Watched]) -> list[ServerError | None]:
        await self.read(jobs)
        for job in jobs:
            job.loaded = job.error is None
        return [job.error for job in jobs]

    async def _snapshots(self, jobs: list[str]) -> list[bytes | ServerError | None]:
        states = await self.store.states(jobs)
        return [state if isinstance(state, ServerError) else state[1] for state in states]

    async def _histories(self, wanted: list[tuple[str, str]]) -> list[Sequence[Entry] | ServerError]:
        return await self.store.histories(wanted, PAGE)

    def _heard(self, channel: bytes, message: bytes) -> None:
        job = self._jobs.get(channel)
        if job is None:
            return
        try:
            if job.incarnation:
                job.rung(live_of(job.incarnation, message))
            else:
                self._question(job)  # nobody had the partition when it was read; now its life has a name
        except ServerError:
            self._question(job)  # anybody may publish

    def _restored(self) -> None:
        self._connected.set()
        self._question(*self._jobs.values())

    def _question(self, *jobs: Watched) -> None:
        self._doubtful.update(jobs)
        self._doubt.set()

    async def _rounds(self) -> None:
        """Read jobs again: all of them every few seconds, and at once those in doubt."""
        while True:
            with anyio.move_on_after(ROUND_SECONDS) as early:
                await self._doubt.wait()
            try:
                if early.cancelled_caught:
                    await self._round()
                else:
                    await self._settle()
            except ServerUnavailable:
                await anyio.sleep(_RETRY_SECONDS)  # the subscription says that the server is gone
            except ServerError as error:
                _logger.error("watched jobs can't be read: %s", error)
                await anyio.sleep(ROUND_SECONDS)

    async def _round(self) -> None:
        await self._drop_unwatched()
        await self._subscription.ping()
        self._doubtful.update(self._jobs.values())
        horizons = await self.store.cursors({job.partition for job in self._jobs.values()})
        await self._settle()
        unread = {job.partition for job in self._jobs.values() if job.error is not None}
        self.horizons = {partition: token for partition, token in horizons.items() if partition not in unread}

    async def _settle(self) -> None:
        while self._doubtful:
            jobs = list(self._doubtful)[:_READ_JOBS]
            await self.read(jobs)
            self._doubtful.difference_update(jobs)
        self._doubt = anyio.Event()

    async def _drop_unwatched(self) -> None:
        for channel, job in list(self._jobs.items()):
            if not job.watchers:
                del self._jobs[channel]
                self._doubtful.discard(job)
                await self._subscription.unsubscribe(job.channel)
