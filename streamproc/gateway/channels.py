"""A job as all clients of this gateway see it: what is made for them of a snapshot or a page is made once."""

from collections.abc import Sequence

from streamproc.gateway import messages
from streamproc.gateway.estimates import Estimates
from streamproc.gateway.followers import Events, Follower, Snapshots, at_once
from streamproc.gateway.messages import Format
from streamproc.hub import PAGE, Live, Page, Watch
from streamproc.log import Entry
from streamproc.position import key

__all__ = ["Channel"]


class Channel:
    """One job, for all who follow it.

    Args:
        job: its name.
        watch: of it.
        estimates: for what goes out.

    Attributes:
        holders: how many need it.
        viewers: who follows its snapshots.
        readers: who follows its events.
    """

    __slots__ = ("_estimates", "_made", "_served", "holders", "job", "readers", "viewers", "watch")

    def __init__(self, job: str, watch: Watch, estimates: Estimates) -> None:
        self.job = job
        self.watch = watch
        self.holders = 0
        self.viewers: set[Snapshots] = set()
        self.readers: set[Events] = set()
        self._estimates = estimates
        self._served = b""
        self._made: dict[Format, bytes] = {}

    def add(self, follower: Follower) -> None:
        """Somebody follows the job."""
        if isinstance(follower, Events):
            self.readers.add(follower)
        elif isinstance(follower, Snapshots):
            self.viewers.add(follower)

    def remove(self, follower: Follower) -> None:
        """Somebody follows it no longer."""
        self.readers.discard(follower)
        self.viewers.discard(follower)

    # To all of them ----------------------------------------------------------------------------------------------

    def show(self, live: Live, served: bytes) -> None:
        """Give the snapshot to all who wait for one. The last one they come for: there is more to say then."""
        last = live.final or self.watch.ended is not None
        for viewer in self.viewers:
            if last:
                viewer.client.mark(viewer)
            else:
                viewer.offer(live, self.message(viewer.client.form, live, served))

    def waiting(self) -> set[str]:
        """The positions after which there may be events for who waits. All others are told to come for theirs."""
        positions = set()
        for reader in self.readers:
            if reader.place is not None and reader.waits:
                positions.add(reader.position)
            else:
                reader.client.mark(reader)
        return positions

    def tell(self, start: str, page: Page, entries: Sequence[Entry]) -> None:
        """Give a page to all who wait for it."""
        live = self.watch.look()
        if live is None:
            return
        last = len(entries) == PAGE or live.final
        end = entries[-1][0].decode() if entries else start
        place = key(end)
        joined: dict[Format, list[bytes]] = {}
        for reader in self.readers:
            if reader.position == start and entries:
                form = reader.client.form
                pieces = self.lines(form, page, entries, live.incarnation)
                if at_once(pieces) < len(pieces):
                    reader.client.mark(reader)
                    continue
                if reader.client.places is None:  # else the last one gets a number of the client's own
                    if form not in joined:
                        joined[form] = [b"".join(pieces)]
                    pieces = joined[form]
                reader.offer(start, end, place, pieces)
            if last:
                reader.client.mark(reader)

    def mark_readers(self) -> None:
        """Tell all who follow events to come for theirs."""
        for reader in self.readers:
            reader.client.mark(reader)

    # What is made for them ---------------------------------------------------------------------------------------

    async def shown(self, form: Format, live: Live, *, resumable: bool = True) -> bytes:
        """A snapshot as a message."""
        return self.message(form, live, await self.served(live), resumable=resumable)

    async def served(self, live: Live) -> bytes:
        """A snapshot as it goes out."""
        return await self._estimates.served(self.job, live.snapshot)

    def message(self, form: Format, live: Live, served: bytes, *, resumable: bool = True) -> bytes:
        """The message of a snapshot as it goes out."""
        if not resumable:
            return messages.snapshot(form, self.job, live, served, resumable=False)
        if served is not self._served:
            self._served, self._made = served, {}
        made = self._made.get(form)
        if made is None:
            made = self._made[form] = messages.snapshot(form, self.job, live, served)
        return made

    def lines(self, form: Format, page: Page, entries: Sequence[Entry], incarnation: str) -> list[bytes]:
        """The messages of a page of its history."""
        made: list[bytes] | None = page.made.get(form)
        if made is None:
            made = page.made[form] = [messages.event(form, self.job, incarnation, entry) for entry in entries]
        return made
