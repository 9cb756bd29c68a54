"""Pages of histories: whoever wants the same page shares one read, and reads that gather go together."""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import anyio

from streamproc.errors import ServerError
from streamproc.log import Entry
from streamproc.store import Store
from streamproc.watched import Reply

__all__ = ["PAGE", "Page", "Pages"]

PAGE: Final = 100
"""Entries of a page; the last one of a history has fewer."""
_TOGETHER: Final = 50


class Page(Reply):
    """A page that is being read, for all that want it.

    Attributes:
        entries: what was read.
        made: what one of those that want it has made of it for others, by whatever tells such things apart.
    """

    __slots__ = ("entries", "made")

    def __init__(self) -> None:
        super().__init__()
        self.entries: Sequence[Entry] = ()
        self.made: dict[Any, Any] = {}


class Pages:
    """Reads pages of histories.

    Args:
        store: for reads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[tuple[str, str], Page] = {}
        self._change = anyio.Event()

    def want(self, job: str, after: str) -> Page:
        """The page of a job's history after a position. Wait for it, and then take its entries."""
        page = self._wanted.get((job, after))
        if page is None:
            page = self._wanted[job, after] = Page()
            self._change.set()
        return page

    async def run(self) -> None:
        """Read what is wanted, until cancelled: while some are read the next gather."""
        while True:
            await self._change.wait()
            self._change = anyio.Event()
            while self._wanted:
                batch = dict(itertools.islice(self._wanted.items(), _TOGETHER))
                for wanted in batch:
                    del self._wanted[wanted]
                await self._read(batch)

    async def _read(self, batch: dict[tuple[str, str], Page]) -> None:
        try:
            found = await self._store.histories(list(batch), PAGE)
            for page, entries in zip(batch.values(), found, strict=True):
                if isinstance(entries, ServerError):
                    page.error = entries
                else:
                    page.entries = entries
        except ServerError as error:
            for page in batch.values():
                page.error = error
        finally:
            for page in batch.values():
                page.done.set()
