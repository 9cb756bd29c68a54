"""Histories as one JSON document, written page by page, however long they are."""

from collections.abc import Callable

from streamproc.gateway.history import PAGE
from streamproc.gateway.streaming import Streaming, Write
from streamproc.log import Entry
from streamproc.position import START, key
from streamproc.store import Store
from streamproc.watched import live_of

__all__ = ["history_of"]


def history_of(
    store: Store, job: str, snapshot: bytes, row: Callable[[Entry], bytes | None], around: tuple[bytes, bytes]
) -> Streaming:
    """A job's history up to its snapshot.

    Args:
        store: where it is.
        job: its id.
        snapshot: of it, as it is stored.
        row: makes a list's item of an entry; None leaves it out.
        around: what stands before the items, and after.
    """
    end = live_of("", snapshot).place

    async def body(write: Write) -> None:
        position, before = START, around[0]
        while True:
            entries = await store.history(job, position, PAGE)
            wanted = [entry for entry in entries if key(entry[0].decode()) <= end]
            rows = [made for made in map(row, wanted) if made is not None]
            if rows:
                await write(before + b",".join(rows))
                before = b","
            if len(wanted) < PAGE:
                break
            position = wanted[-1][0].decode()
        await write(around[1] if before == b"," else around[0] + around[1])

    return Streaming(body, "application/json", {"cache-control": "no-cache"})
