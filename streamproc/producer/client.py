"""Connecting, and the life of a connection: its threads, forks, and the end of the program."""

import atexit
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from streamproc.append import Appender
from streamproc.errors import ServerError, ServerUnavailable
from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.claiming import LEASE_SECONDS, RETRY_SECONDS, Claiming
from streamproc.producer.finding import changes, find
from streamproc.producer.found import JobSnapshot
from streamproc.producer.job import AnyJob, Job, OnRequest
from streamproc.producer.outbox import Outbox
from streamproc.producer.sender import Sender, Transport
from streamproc.producer.settings import BUFFER_BYTES, Settings
from streamproc.producer.tracked import Tracked
from streamproc.producer.wishes import Listener, Wishes

__all__ = ["Producer", "connect"]

_FLUSH_SECONDS: Final = 10.0

J = TypeVar("J", bound=AnyJob)

_log = logging.getLogger("streamproc")


def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    namespace: str = "sp",
    partitions: int = 16,
    required: bool = True,
    min_interval: float = 0.1,
    heartbeat_interval: float = 10.0,
    flush_seconds: float = 5.0,
    buffer_bytes: int = BUFFER_BYTES,
) -> "Producer":
    """Connect to where progress is kept.

    From here on nothing is raised into the work because of the server: while it is gone, events are kept and sent
    when it answers again.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` of a server, or ``http(s)://`` of a gateway; else the variable
            STREAMPROC_URL; else the server of ``streamproc up`` on this machine.
        token: for a gateway that wants one; else the variable STREAMPROC_TOKEN.
        namespace: what all keys begin with. A gateway has its own.
        partitions: how many streams the log gets where the namespace doesn't exist yet.
        required: whether a server that doesn't answer now is an error.
        min_interval: seconds between two reports of progress of the same job, stage or unit, of which the latest
            is kept; 0 sends every report.
        heartbeat_interval: a job that has started and says nothing for so many seconds says that it is alive; 0: never.
        flush_seconds: how long the end of a job may wait for its delivery; 0: not at all.
        buffer_bytes: memory for events while the server is gone. Beyond it, progress is dropped and counts are
            summed up; lifecycle events are kept in a temporary file.

    Raises:
        ConfigError: the URL or another setting can't work.
        ServerUnavailable: nothing answers there.
        ServerError: it refuses the password or token, or holds a namespace that this version doesn't speak.
    """
    producer = Producer(
        Settings.of(
            url,
            token,
            namespace=namespace,
            partitions=partitions,
            min_interval=min_interval,
            heartbeat_interval=heartbeat_interval,
            flush_seconds=flush_seconds,
            buffer_bytes=buffer_bytes,
        )
    )
    if required:
        producer.open()
    return producer


class Producer:
    """A connection of this process. Use `connect` to make one; ``with`` closes it.

    All of it may be used by any number of threads. A forked child is another producer: it has another `src`, and
    doesn't send what its parent has still to send. Pickled, as by multiprocessing, it connects anew where it is
    unpickled, and so do its jobs, stages and units.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._transport = self._make_transport()
        self._outbox = Outbox(
            settings.min_interval, settings.buffer_bytes, self._start_sender, settings.heartbeat_interval
        )
        self._wishes = Wishes(self._make_listener)
        self._sender: Sender | None = None
        self._closed = False
        self._disconnected = False
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _the_one_with, (self.settings,)

    def open(self) -> None:
        """See that the server is there. Raises as `connect` does, and is closed then."""
        try:
            self._transport.open()
        except ServerError as error:
            self.close()
            if not isinstance(error, ServerUnavailable):
                raise
            raise ServerUnavailable(
                f"nothing answers at {self._transport.name}: start it with `streamproc up`, or set STREAMPROC_URL "
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
        on_request: OnRequest | None = None,
    ) -> Job:
        """A job to report on: ``with`` starts and ends it; without, see `Job.start`.

        A job that somebody else has started goes on here by its id and attempt: report, and don't start it again.

        Args:
            id: 1 to 200 characters of A-Z a-z 0-9 . _ : @ -; None makes one up.
            kind: what sort of job it is.
            title: for people.
            stages: weights by name, or names alone, in their order.
            labels: to find it by.
            owner: whose it is.
            worker: who reports.
            attempt: from 1; a higher one starts the job's progress again.
            on_request: called with ``pause``, ``resume`` or ``cancel`` when that is asked of the job, in a thread
                of the connection. What it raises is logged.

        Raises:
            ValueError, TypeError: one of them can't be; the message names it.
        """
        facts = job_facts(id, kind, title, stages, labels, owner, worker, attempt)
        return self._job(Job, facts, on_request)

    def _job(self, of: type[J], facts: Event, on_request: OnRequest | None) -> J:
        if self._closed:
            raise RuntimeError("the connection is closed: report within `with streamproc.connect()`")
        return of(self, facts, on_request)

    def claim(
        self,
        kinds: str | Iterable[str] | None = None,
        *,
        worker: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        wait: float | None = 0.0,
        on_request: OnRequest | None = None,
    ) -> Job | None:
        """Take the next queued job, by priority and then age, to work on it in a ``with``. Through a gateway only.

        Its `Job.params` say what to do. It is this worker's alone until it ends or the connection is closed: heartbeats
        renew the lease.

        Args:
            kinds: those that this worker can do; None is all.
            worker: who it is; None makes a name up for this call.
            lease_seconds: from 1 to a day. If nothing is heard of the worker for so long, another gets the job.
            wait: how many seconds to wait for a job; None is for ever.
            on_request: see `job`.

        Returns:
            The job, which has started; None where there is none in time.

        Raises:
            ConfigError: the connection doesn't go through a gateway.
            ServerError: it can't serve, or refuses us.
            ValueError, TypeError: an argument can't be; the message names it.
        """
        claiming = Claiming(self.settings, kinds, worker, lease_seconds, wait)
        from streamproc.post import Poster

        poster = Poster(self.settings.url, self.settings.token)  # the sender's is for its thread
        try:
            while True:
                taken = None
                try:
                    taken = claiming.read(poster.claim(*claiming.body()))
                except ServerUnavailable:
                    if not claiming.left:
                        raise
                    sleep(min(RETRY_SECONDS, claiming.left))
                if taken is not None:
                    return self._job(Job, taken.facts, on_request)._taken(taken.params, taken.lease_seconds)
                if not claiming.left:
                    return None
        finally:
            poster.disconnect()

    def tracked(
        self,
        *,
        kind: str | None = None,
        id: str | Callable[..., str] | None = None,  # noqa: A002  (the caller's word for it)
        title: str | Callable[..., str] | None = None,
        stages: Mapping[str, float] | Iterable[str] | None = None,
        labels: dict[str, str] | None = None,
        owner: str | None = None,
        worker: str | None = None,
        result: bool = True,
    ) -> Tracked:
        """Make each call of a function a job: ``@sp.tracked(kind="import")``. The function may be ``async``.

        A parameter that is called ``job`` is given the job, unless the caller gives one; and `streamproc.current_job`
        is the job, wherever the function goes.

        Args:
            kind: what sort of job it is; None takes the function's name.
            id, title: a text, in which ``{name}`` is an argument of the call, or a function of the same arguments that
                returns it. None makes an id up.
            stages, labels, owner, worker: as of `job`.
            result: whether what the function returns is the job's result; None and what JSON can't say are left out.

        Raises:
            ValueError, TypeError: one of them can't be; the message names it. Only an id that its arguments make may
                turn out so when the function is called.
        """
        facts = job_facts("-", kind, None, stages, labels, owner, worker, None)
        return Tracked(self, facts, id, title, result)

    def find(self, id: str) -> JobSnapshot:  # noqa: A002  (the caller's word for it)
        """A job as it is now, whoever works on it.

        Raises:
            UnknownJob: nothing of it has been folded.
            ServerError: the server is gone, or refuses us.
        """
        checks.checked(Event(job=id, type="-"))
        transport = self._make_transport()  # the sender's is for its thread
        try:
            return find(transport, id)
        finally:
            transport.disconnect()

    def watch(self, id: str, *, every: float = 1.0) -> Iterator[JobSnapshot]:  # noqa: A002  (as of find)
        """A job as it is now, and then whenever it has changed, until it has ended.

        A server that is gone for a while is waited for.

        Args:
            every: how many seconds lie between two looks.

        Raises:
            UnknownJob, ServerError: as of `find`, at the first look.
        """
        return changes(self.find, id, every)

    @property
    def waiting(self) -> int:
        """How many events are not delivered yet."""
        return self._outbox.waiting

    @property
    def coalesced(self) -> int:
        """How many reports were replaced by a later one, summed up or dropped, so far."""
        return self._outbox.coalesced

    def flush(self, timeout: float = _FLUSH_SECONDS) -> bool:
        """Wait until everything said so far is in the log, up to `timeout` seconds. Whether it is."""
        return self._flushed(self._outbox.flush(timeout), timeout)

    def _flushed(self, missing: int, timeout: float) -> bool:
        if missing:
            _log.warning("%d events could not be delivered to %s within %g s", missing, self._transport.name, timeout)
        return not missing

    def close(self, timeout: float = _FLUSH_SECONDS) -> None:
        """Deliver what waits, up to `timeout` seconds, and disconnect. Again is harmless."""
        if self._disconnected:
            return
        self._closed = True
        deadline = monotonic() + timeout
        self.flush(timeout)
        self._disconnected = True  # only now: interrupted in the flush, it can be closed again
        _open.discard(self)
        self._disconnect(deadline)

    def _disconnect(self, deadline: float) -> None:
        self._wishes.close()
        self._outbox.close()
        if self._sender is None:
            self._transport.disconnect()
        else:
            self._sender.join(max(0.0, deadline - monotonic()))

    def _make_transport(self) -> Transport:
        settings = self.settings
        if settings.over_http:
            from streamproc.post import Poster  # httpx, which costs a tenth of a second

            return Poster(settings.url, settings.token)
        return Appender(settings.url, settings.namespace, settings.partitions)

    def _make_listener(self, wishes: Wishes) -> Listener:
        from streamproc.producer.listening import Listening  # an event loop, which few need

        return Listening(self.settings, wishes)

    def _start_sender(self) -> bool:
        if self._sender is None:
            self._sender = Sender(self._transport, self._outbox)
        try:
            self._sender.start()
        except RuntimeError as error:
            self._sender = None
            _log.warning("no thread to send with, so events are kept: %s", error)
            return False
        _close_at_exit_of_child()
        return True

    def _begin_anew(self) -> None:
        """In a forked child: what waits is the parent's, and so are the thread and the connection."""
        self._sender = None
        self._transport = self._make_transport()
        self._outbox.reset()
        self._wishes.reset()


def job_facts(
    id: str | None,  # noqa: A002
    kind: str | None,
    title: str | None,
    stages: Mapping[str, float] | Iterable[str] | None,
    labels: dict[str, str] | None,
    owner: str | None,
    worker: str | None,
    attempt: int | None,
) -> Event:
    """What a job tells of itself, checked. Raises `ValueError` and `TypeError`."""
    return checks.checked(
        Event(
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
    )


_open: Final[set[Producer]] = set()
_children: Final[set[int]] = set()


def _the_one_with(settings: Settings) -> Producer:
    """A connection with these settings: an open one of this process, or another."""
    return next((producer for producer in _open if producer.settings == settings), None) or Producer(settings)


def _close_all() -> None:
    for producer in list(_open):
        producer.close()


def _close_at_exit_of_child() -> None:
    """A child of multiprocessing may leave without `atexit`, but runs its own finalizers."""
    pid = os.getpid()
    if parent_process() is not None and pid not in _children:
        _children.add(pid)
        Finalize(None, _close_all, exitpriority=0)


def _begin_all_anew() -> None:
    for producer in _open:
        producer._begin_anew()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_begin_all_anew)
