"""Connecting, and the life of a connection: its thread, forks, and the end of the program."""

import atexit
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from functools import partial
from multiprocessing.util import Finalize
from time import monotonic
from types import TracebackType
from typing import Final, Self

from streamproc.append import Appender
from streamproc.config import DEFAULT_REDIS_PORT, Config
from streamproc.errors import ConfigError, ServerError, ServerUnavailable
from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.job import Job
from streamproc.producer.outbox import Outbox
from streamproc.producer.sender import Sender
from streamproc.producer.wishes import Wishes

__all__ = ["Producer", "connect"]

BUFFER_BYTES: Final = 32 * 1024 * 1024
_FLUSH_SECONDS: Final = 10.0

_log = logging.getLogger("streamproc")


def connect(
    url: str | None = None,
    *,
    namespace: str = "sp",
    partitions: int = 16,
    required: bool = True,
    min_interval: float = 0.1,
    checkpoint_interval: float = 0.5,
    buffer_bytes: int = BUFFER_BYTES,
) -> "Producer":
    """Connect to where progress is kept.

    From here on nothing is raised into the work because of the server: while it is gone, events are kept and sent
    when it answers again.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; else the variable STREAMPROC_URL; else the server of
            ``streamproc up`` on this machine.
        namespace: what all keys begin with.
        partitions: how many streams the log gets where the namespace doesn't exist yet.
        required: whether a server that doesn't answer now is an error.
        min_interval: seconds between two reports of progress of the same job, stage or unit, of which the latest
            is kept; 0 sends every report.
        checkpoint_interval: seconds between two looks at what is asked of a job.
        buffer_bytes: memory for events while the server is gone. Beyond it, progress is dropped and counts are
            summed up; lifecycle events are kept.

    Raises:
        ConfigError: the URL or another setting can't work.
        ServerUnavailable: nothing answers there.
        ServerError: it refuses the password, or holds a namespace that this version doesn't speak.
    """
    url = url or os.environ.get("STREAMPROC_URL") or f"redis://127.0.0.1:{DEFAULT_REDIS_PORT}/0"
    if url.startswith(("http://", "https://")):
        raise ConfigError("url: the SDK doesn't speak HTTP yet; give the server's redis://, rediss:// or unix:// URL")
    Config(redis=url, namespace=namespace, partitions=partitions).check()
    producer = Producer(url, namespace, partitions, min_interval, checkpoint_interval, buffer_bytes)
    if required:
        producer.open()
    return producer


class Producer:
    """A connection of this process. Use `connect` to make one; ``with`` closes it.

    All of it may be used by any number of threads. A forked child is another producer: it has another `src`, and
    doesn't send what its parent has still to send.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        partitions: int,
        min_interval: float,
        checkpoint_interval: float,
        buffer_bytes: int,
    ) -> None:
        self._make_appender = partial(Appender, url, namespace, partitions)
        self._appender = self._make_appender()
        self._outbox = Outbox(min_interval, buffer_bytes, self._start_sender)
        self._wishes = Wishes(checkpoint_interval)
        self._sender: Sender | None = None
        self._closed = False
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """See that the server is there. Raises as `connect` does."""
        try:
            self._appender.open()
        except ServerError as error:
            self.close()
            if not isinstance(error, ServerUnavailable):
                raise
            raise ServerUnavailable(
                f"nothing answers at {self._appender.name}: start it with `streamproc up`, or set STREAMPROC_URL "
                f"({error})"
            ) from error

    def job(
        self,
        id: str | None = None,  # noqa: A002  (the caller's word for it)
        *,
        kind: str | None = None,
        title: str | None = None,
        stages: Mapping[str, float] | Iterable[str] | None = None,
        labels: dict[str, str] | None = None,
        owner: str | None = None,
        worker: str | None = None,
        attempt: int | None = None,
    ) -> Job:
        """A job to report on: ``with`` starts and ends it; without, see `Job.start`.

        Args:
            id: 1 to 200 characters of A-Z a-z 0-9 . _ : @ -; None makes one up.
            kind: what sort of job it is.
            title: for people.
            stages: weights by name, or names alone, in their order.
            labels: to find it by.
            owner: whose it is.
            worker: who reports.
            attempt: from 1; a higher one starts the job's progress again.

        Raises:
            ValueError, TypeError: one of them can't be; the message names it.
        """
        if self._closed:
            raise RuntimeError("the connection is closed: report within `with streamproc.connect()`")
        facts = Event(
            job=secrets.token_hex(8) if id is None else id,
            type="job.started",
            kind=kind,
            title=title,
            stages=checks.stages(stages),
            labels=labels,
            owner=owner,
            worker=worker,
            attempt=attempt,
        )
        return Job(self._outbox, self._wishes, checks.checked(facts))

    def flush(self, timeout: float = _FLUSH_SECONDS) -> bool:
        """Wait until everything said so far is in the log, up to `timeout` seconds. Whether it is."""
        missing = self._outbox.flush(timeout)
        if missing:
            _log.warning("%d events could not be delivered to %s within %g s", missing, self._appender.name, timeout)
        return not missing

    def close(self, timeout: float = _FLUSH_SECONDS) -> None:
        """Deliver what waits, up to `timeout` seconds, and disconnect. Again is harmless."""
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        deadline = monotonic() + timeout
        self.flush(timeout)
        self._wishes.close()
        self._outbox.close()
        if self._sender is None:
            self._appender.disconnect()
        else:
            self._sender.join(max(0.0, deadline - monotonic()))

    def _start_sender(self) -> bool:
        sender = Sender(self._appender, self._outbox, self._wishes)
        try:
            sender.start()
        except RuntimeError as error:
            _log.warning("no thread to send with, so events are kept: %s", error)
            return False
        self._sender = sender
        _close_at_exit_of_child()
        return True

    def _begin_anew(self) -> None:
        """In a forked child: what waits is the parent's, and so are the thread and the connection."""
        self._sender = None
        self._appender = self._make_appender()
        self._outbox.reset()
        self._wishes.reset()


_open: Final[set[Producer]] = set()
_home: Final = os.getpid()
_children: Final[set[int]] = set()


def _close_all() -> None:
    for producer in list(_open):
        producer.close()


def _close_at_exit_of_child() -> None:
    """A child that multiprocessing forked leaves without `atexit`, but runs its own finalizers."""
    pid = os.getpid()
    if pid != _home and pid not in _children:
        _children.add(pid)
        Finalize(None, _close_all, exitpriority=0)


def _begin_all_anew() -> None:
    for producer in _open:
        producer._begin_anew()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_begin_all_anew)
