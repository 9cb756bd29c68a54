"""The events in the order in which they go out: in memory, behind these on disk, and those that are on their way."""

import logging
import secrets
from collections import deque
from collections.abc import Collection
from typing import Final

from streamproc.events import Event
from streamproc.producer.spool import Spool
from streamproc.wire import encode

__all__ = ["BATCH_EVENTS", "Queue"]

BATCH_EVENTS: Final = 1000
BATCH_BYTES: Final = 1024 * 1024
_OVERHEAD: Final = 256
"""Bytes that an event takes in memory beyond its payload."""

_log = logging.getLogger("streamproc")


class Queue:
    """Events of a producer session. Nothing overtakes in it, and an event gets its `seq` when it leaves for the first
    time. Not safe for threads: the outbox's lock is.
    """

    def __init__(self) -> None:
        self._src = secrets.token_hex(6).encode()
        self._seq = 0
        self._memory: deque[tuple[str, bytes, int]] = deque()  # job, payload, and where in it src and seq go
        self._spool = Spool()
        self._told_of_disk = False
        self.sending: list[tuple[str, bytes]] = []
        self.bytes = 0
        self.delivered = 0

    def __len__(self) -> int:
        return len(self._memory) + len(self._spool) + len(self.sending)

    @property
    def has_a_batch(self) -> bool:
        """Whether more could only wait."""
        return len(self._memory) + len(self.sending) >= BATCH_EVENTS

    def put(self, event: Event, *, full: bool) -> None:
        """Add an event; on disk, where the memory is full or others are there already."""
        body = encode(event)
        job = event.job
        # An event begins {"job":"…","type":"…" and neither needs escapes; src and seq come next.
        at = 19 + len(job) + len(event.type)
        if not (full or self._spool) or not self._spooled(job, body, at):
            self._memory.append((job, body, at))
            self.bytes += len(body) + _OVERHEAD

    def _spooled(self, job: str, body: bytes, at: int) -> bool:
        """Put an event behind those on disk, or the first one there. Whether that worked."""
        try:
            self._spool.put(job, body, at)
        except OSError as error:
            if self._spool:
                self._unspool(len(self._spool))  # what is behind them must not overtake them
            if not self._told_of_disk:
                self._told_of_disk = True
                _log.warning("no room on disk for the events that wait, so all are kept in memory: %s", error)
            return False
        return True

    def _unspool(self, most: int) -> None:
        """Take events from disk into memory."""
        try:
            for _ in range(min(most, len(self._spool))):
                event = self._spool.take()
                self._memory.append(event)
                self.bytes += len(event[1]) + _OVERHEAD
        except OSError as error:
            _log.error("%d events can't be read back from disk, and are lost: %s", len(self._spool), error)
            self._spool.close()
            self._spool = Spool()

    def fill(self) -> None:
        """Put as many events on their way as a batch holds."""
        if self._spool and len(self._memory) < BATCH_EVENTS:
            self._unspool(BATCH_EVENTS)
        sending, memory, src = self.sending, self._memory, self._src
        size = sum(len(payload) for _, payload in sending)
        added = 0
        while memory and len(sending) < BATCH_EVENTS and size < BATCH_BYTES:
            job, body, at = memory.popleft()
            self._seq += 1
            payload = b'%b,"src":"%b","seq":%d%b' % (body[:at], src, self._seq, body[at:])
            sending.append((job, payload))
            size += len(payload)
            added += len(payload) - len(body)
        self.bytes += added

    def confirm(self, refused: Collection[int]) -> None:
        """What is on its way has arrived, but for the entries at these places."""
        kept = [self.sending[at] for at in refused]
        self.delivered += len(self.sending) - len(kept)
        self.bytes -= sum(len(payload) + _OVERHEAD for _, payload in self.sending)
        self.bytes += sum(len(payload) + _OVERHEAD for _, payload in kept)
        self.sending = kept

    def close(self) -> None:
        """Give back what is on disk."""
        self._spool.close()
