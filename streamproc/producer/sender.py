"""The background thread: takes what waits, appends it, and keeps at it while the server is gone."""

import logging
import random
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from streamproc.errors import ServerError
from streamproc.producer.outbox import Outbox

__all__ = ["Sender", "Transport"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_START_SECONDS: Final = 1.0

_log = logging.getLogger("streamproc")


class Transport(Protocol):
    """One connection, for one thread, to where events go. See `Appender` and `Poster`."""

    name: str

    def open(self) -> object: ...
    def append(self, batch: Sequence[tuple[str, bytes]]) -> dict[int, ServerError]: ...
    def snapshot(self, job: str) -> bytes | None: ...
    def disconnect(self) -> None: ...


class Sender:
    """One thread over one connection. It starts with the first event, and ends when the outbox is closed."""

    def __init__(self, transport: Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._thread = threading.Thread(target=self._run, name="streamproc-sender", daemon=True)
        self._runs = threading.Event()
        self._pause = 0.0
        self._coalesced = 0

    def start(self) -> None:
        """Start the thread, unless it runs. Raises `RuntimeError` where the system gives no more threads."""
        if self._runs.is_set():
            return
        try:
            self._thread.start()
        except KeyboardInterrupt:
            self._runs.wait(_START_SECONDS)  # it mostly runs by then, and there must not be two
            raise

    def join(self, timeout: float) -> None:
        self._thread.join(min(timeout, threading.TIMEOUT_MAX))

    def _run(self) -> None:
        self._runs.set()
        while not self._told_to_end():
            pass
        self._transport.disconnect()

    def _told_to_end(self) -> bool:
        """Wait for events, and send them. Whether it was told to end instead."""
        try:
            batch = self._outbox.take()
            if batch:
                self._append(batch)
        except Exception as error:  # noqa: BLE001  (ours or a library's: without this thread nothing arrives any more)
            self._wait_out(error)
            return False
        return batch is None

    def _append(self, batch: Sequence[tuple[str, bytes]]) -> None:
        refused = self._transport.append(batch)
        self._outbox.confirm(refused)
        for error in refused.values():
            raise error
        if self._pause:
            self._pause = 0.0
            coalesced = self._outbox.coalesced - self._coalesced
            _log.info("%s takes events again; %d reports were coalesced meanwhile", self._transport.name, coalesced)

    def _wait_out(self, error: Exception) -> None:
        """Say once what is wrong, and wait a little longer each time."""
        self._transport.disconnect()
        if not self._pause:
            self._coalesced = self._outbox.coalesced
            unknown = None if isinstance(error, ServerError) else error
            _log.warning("%s; the work goes on, and its events are kept and sent again", error, exc_info=unknown)
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _FIRST_PAUSE)
        self._outbox.pause(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  (spreads the load, hides nothing)
