"""The background thread: takes what waits, appends it, and keeps at it while the server is gone."""

import logging
import random
import threading
from collections.abc import Sequence
from typing import Final

from streamproc.append import Appender
from streamproc.errors import ServerError
from streamproc.producer.outbox import Outbox
from streamproc.producer.wishes import Wishes

__all__ = ["Sender"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0

_log = logging.getLogger("streamproc")


class Sender:
    """One thread over one connection. It starts with the first event, and ends when the outbox is closed."""

    def __init__(self, appender: Appender, outbox: Outbox, wishes: Wishes) -> None:
        self._appender = appender
        self._outbox = outbox
        self._wishes = wishes
        self._thread = threading.Thread(target=self._run, name="streamproc-sender", daemon=True)
        self._pause = 0.0

    def start(self) -> None:
        """Raises `RuntimeError` where the system gives no more threads."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        while (batch := self._outbox.take(self._wishes.due())) is not None:
            try:
                if batch:
                    self._append(batch)
                    self._mended()
                asked = self._wishes.to_ask()
                if asked:
                    self._wishes.update(self._appender.requested(asked))
            except ServerError as error:
                self._wait_out(error)
        self._appender.disconnect()

    def _append(self, batch: Sequence[tuple[str, bytes]]) -> None:
        refused = self._appender.append(batch)
        self._outbox.confirm(refused)
        for error in refused.values():
            raise error

    def _wait_out(self, error: ServerError) -> None:
        """Say once what is wrong, and wait a little longer each time."""
        self._appender.disconnect()
        if not self._pause:
            _log.warning("%s; the work goes on, and its events are kept and sent again", error)
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _FIRST_PAUSE)
        self._outbox.pause(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  (spreads the load, hides nothing)

    def _mended(self) -> None:
        if self._pause:
            self._pause = 0.0
            _log.info("%s takes events again", self._appender.name)
