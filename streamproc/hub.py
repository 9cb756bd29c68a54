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
  reads history pages after its own position, however many doorbells rang, until a page isn't full, and then waits
  for the job to change again. What it looks at to decide whether to wait it has looked at *before* the
  read; a commit during the read has changed the job by then, and it doesn't wait. So the replay of a history and its
  live tail are the same loop, and there is no seam where they meet.
- *Every few seconds all watched jobs are read again*, in few round trips for all of them, and so they are after the
  subscription's connection was lost. A lost doorbell costs a delay.

When the past changes. A partition whose log was emptied has a new incarnation; a server that came back with less than
it had acknowledged has a lower position. A read that shows one of them begins a new *life* of the job: clients compare
the life they began with, say `reset`, and start over. A read may be overtaken by a doorbell, so a position counts as
gone back only when it is lower than the one that was known when the read was sent.

Memory: one snapshot per watched job, and nothing per client but its place. A job that nobody watches is
dropped, with its subscription, at the next round.
"""

import itertools
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple

import anyio
from anyio.abc import TaskStatus

from streamproc.errors import InvalidPosition, ServerError, ServerUnavailable
from streamproc.keys import Keys
from streamproc.log import Entry
from streamproc.position import Token, key
from streamproc.store import Store
from streamproc.subscription import Subscription

__all__ = ["PAGE", "Hub", "Live", "Place", "Watch"]

Place = tuple[int, int]
"""A position as it sorts."""

ROUND_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = 0.5
_READ_JOBS: Final = 500
_READ_PAGES: Final = 50
PAGE: Final = 100
"""Entries of a page of history."""
_FINISHED_AT: Final = b'"finished_at":'
_logger = logging.getLogger("streamproc.hub")


class Live(NamedTuple):
    """What is known of a job: its snapshot, as it is stored, and where that stands."""

    incarnation: str
    position: str
    place: Place
    snapshot: bytes

    @property
    def token(self) -> Token:
        return Token(self.incarnation, self.position)

    @property
    def final(self) -> bool:
        """Whether the job's state is final. No text in a snapshot can hold the name of a field in bare quotes."""
        at = self.snapshot.rindex(_FINISHED_AT) + len(_FINISHED_AT)
        return not self.snapshot.startswith(b"null", at)


def _live(incarnation: str, snapshot: bytes) -> Live:
    """Read where a snapshot stands off its last field: ``…,"position":"1763750000000-3"}``. Nothing is decoded."""
    try:
        position = snapshot[snapshot.rindex(b'"', 0, -2) + 1 : -2].decode()
        return Live(incarnation, position, key(position), snapshot)
    except (ValueError, InvalidPosition) as error:
        raise ServerError(f"it isn't a snapshot: {snapshot[:60]!r}") from error


class _Job:
    """A watched job, for all its watchers."""

    __slots__ = ("bell", "channel", "incarnation", "life", "loaded", "loading", "name", "now", "version", "watchers")

    def __init__(self, name: str, channel: str) -> None:
        self.name = name
        self.channel = channel
        self.watchers = 0
        self.loading = anyio.Lock()
        self.loaded = False
        self.incarnation = ""
        self.life = 0
        self.now: Live | None = None
        self.version = 0
        self.bell: anyio.Event | None = None

    def ring(self) -> None:
        self.version += 1
        if self.bell is not None:
            self.bell.set()
            self.bell = None

    def rung(self, live: Live) -> None:
        """Take a doorbell."""
        if self.now is None or live.place > self.now.place:
            self.now = live
            self.ring()

    def read(self, known: Place | None, incarnation: str, live: Live | None) -> None:
        """Take what a read got that was sent when the job was known to be at a place."""
        gone_back = known is not None and (live is None or live.place < known or incarnation != self.incarnation)
        self.incarnation = incarnation
        if gone_back:
            self.life += 1
        elif live is None or (self.now is not None and live.place <= self.now.place):
            return
        self.now = live
        self.ring()


class _Page:
    """A page of a history that is being read, for all that want it."""

    __slots__ = ("done", "entries", "error")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.entries: Sequence[Entry] = ()
        self.error: ServerError | None = None


class Watch:
    """One client's view of a job. Use it in a ``with``, so that the job is let go."""

    def __init__(self, hub: "Hub", job: _Job) -> None:
        self._hub = hub
        self._job = job
        self._seen = job.version

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._job.watchers -= 1

    @property
    def life(self) -> int:
        """Rises when the job's past is not what it was: what was seen before counts no more."""
        return self._job.life

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

    async def history(self, after: str) -> Sequence[Entry]:
        """A page of the job's history after a position; the last one has fewer than `PAGE`. Raises `ServerError`."""
        return await self._hub.history(self._job.name, after)


class Hub:
    """Watches jobs for clients.

    Args:
        url: of the server, for the subscription's own connection.
        keys: the namespace.
        store: for reads.
    """

    def __init__(self, url: str, keys: Keys, store: Store) -> None:
        self.store = store
        self.closed = False
        self._keys = keys
        self._jobs: dict[bytes, _Job] = {}
        self._doubtful: set[_Job] = set()
        self._doubt = anyio.Event()
        self._connected = anyio.Event()
        self._pages: dict[tuple[str, str], _Page] = {}
        self._page_wanted = anyio.Event()
        self._subscription = Subscription(url, self._heard, self._restored)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve watches until cancelled. Started once the server has been heard."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._subscription.run)
            tasks.start_soon(self._rounds)
            tasks.start_soon(self._read_pages)
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
        channel = self._keys.of(name).live(name)
        job = self._jobs.setdefault(channel.encode(), _Job(name, channel))
        job.watchers += 1
        try:
            await self._subscription.subscribe(channel)
            async with job.loading:
                if not job.loaded:
                    await self.read([job])
                    job.loaded = True
        except BaseException:
            job.watchers -= 1
            raise
        return Watch(self, job)

    async def read(self, jobs: Sequence[_Job]) -> None:
        """Read jobs, and let each take what it hasn't seen."""
        known = [None if job.now is None else job.now.place for job in jobs]
        found = await self.store.current([job.name for job in jobs])
        for job, place, (incarnation, snapshot) in zip(jobs, known, found, strict=True):
            try:
                job.read(place, incarnation, None if snapshot is None else _live(incarnation, snapshot))
            except ServerError as error:
                _logger.error("job %s can't be shown: %s", job.name, error)

    async def history(self, job: str, after: str) -> Sequence[Entry]:
        """A page of a job's history after a position, in one read for all that want the same."""
        page = self._pages.get((job, after))
        if page is None:
            page = self._pages[job, after] = _Page()
            self._page_wanted.set()
        await page.done.wait()
        if page.error is not None:
            raise type(page.error)(str(page.error)) from page.error
        return page.entries

    async def _read_pages(self) -> None:
        """Read the pages that clients wait for: while some are read the next gather, and then go together."""
        while True:
            await self._page_wanted.wait()
            self._page_wanted = anyio.Event()
            while self._pages:
                wanted = dict(itertools.islice(self._pages.items(), _READ_PAGES))
                for name in wanted:
                    del self._pages[name]
                await self._read_together(wanted)

    async def _read_together(self, wanted: "dict[tuple[str, str], _Page]") -> None:
        try:
            found = await self.store.histories(list(wanted), PAGE)
            for page, entries in zip(wanted.values(), found, strict=True):
                if isinstance(entries, ServerError):
                    page.error = entries
                else:
                    page.entries = entries
        except ServerError as error:
            for page in wanted.values():
                page.error = error
        finally:
            for page in wanted.values():
                page.done.set()

    def _heard(self, channel: bytes, message: bytes) -> None:
        job = self._jobs.get(channel)
        if job is None:
            return
        try:
            if job.incarnation:
                job.rung(_live(job.incarnation, message))
            else:
                self._question(job)  # nobody had the partition when it was read; now its life has a name
        except ServerError:
            self._question(job)  # anybody may publish

    def _restored(self) -> None:
        self._connected.set()
        self._question(*self._jobs.values())

    def _question(self, *jobs: _Job) -> None:
        self._doubtful.update(jobs)
        self._doubt.set()

    async def _rounds(self) -> None:
        """Read jobs again: all of them every few seconds, and at once those in doubt."""
        while True:
            with anyio.move_on_after(ROUND_SECONDS) as early:
                await self._doubt.wait()
            try:
                if early.cancelled_caught:
                    await self._drop_unwatched()
                    await self._subscription.ping()
                    self._doubtful.update(self._jobs.values())
                await self._settle()
            except ServerUnavailable:
                await anyio.sleep(_RETRY_SECONDS)  # the subscription says that the server is gone
            except ServerError as error:
                _logger.error("watched jobs can't be read: %s", error)
                await anyio.sleep(ROUND_SECONDS)

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
