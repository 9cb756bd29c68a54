"""The tape: what the real SDK would have put into the log, with the time at which it arrived there."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

import msgspec

from streamproc.errors import ServerError
from streamproc.events import Event
from streamproc.producer.client import Producer
from streamproc.producer.sender import Transport
from streamproc.producer.settings import Settings
from streamproc.producer.wishes import Listener, Wishes
from streamproc.wire import encode

__all__ = ["Recorder", "Tape"]

_LEFT_OUT = ("job", "src", "seq", "at")
"""What a trace says elsewhere, or doesn't say."""


class Tape:
    """A `Transport` that keeps what is appended: milliseconds since it was made, and the payload."""

    name = "the tape"

    def __init__(self) -> None:
        self._began = monotonic()
        self.events: list[tuple[int, dict[str, Any]]] = []

    def open(self) -> None: ...

    def append(self, batch: Sequence[tuple[str, bytes]]) -> dict[int, ServerError]:
        ms = int((monotonic() - self._began) * 1000)
        for _, payload in batch:
            event = msgspec.json.decode(payload)
            self.events.append((ms, {field: value for field, value in event.items() if field not in _LEFT_OUT}))
        return {}

    def snapshot(self, job: str) -> None:
        return None

    def disconnect(self) -> None: ...


class Recorder(Producer):
    """The SDK's own `Producer`, with a tape in place of a server."""

    def __init__(self) -> None:
        self.tape = Tape()
        defaults = {"min_interval": 0.1, "heartbeat_interval": 10.0, "flush_seconds": 5.0, "buffer_bytes": 2**25}
        super().__init__(Settings.of("redis://localhost", None, namespace="sp", partitions=1, **defaults))

    def ask(self, job: str, wish: str) -> None:
        """Ask a job to ``pause``, ``resume`` or ``cancel``, as the gateway does."""
        self.tape.append([(job, encode(Event(job=job, type=f"job.{wish}_requested")))])
        self._wishes.update(job, wish)

    def _make_transport(self) -> Transport:
        return self.tape

    def _make_listener(self, wishes: Wishes) -> Listener:
        return _Here(wishes)


class _Here:
    """A `Listener` where nobody but `Recorder.ask` has wishes: it only says that there are none yet."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes

    def start(self) -> None:
        self.changed()

    def changed(self) -> None:
        for job in self._wishes.watched():
            if self._wishes.first_is_awaited(job):
                self._wishes.update(job, None)

    def stop(self) -> None: ...
