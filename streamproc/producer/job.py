"""A job, as its worker holds it."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from msgspec import UNSET

from streamproc.errors import JobCanceled
from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.endings import TASK_CANCELED, each
from streamproc.producer.parts import Indicator, Stage, Unit
from streamproc.producer.target import Target

if TYPE_CHECKING:
    from streamproc.producer.client import Producer

__all__ = ["AFTER_PAUSE", "AnyJob", "Job", "OnRequest"]

OnRequest = Callable[[str], object]
"""Called with ``pause``, ``resume`` or ``cancel`` when somebody asks that of the job."""

AFTER_PAUSE: Final = ("resume", "cancel")
"""The wishes that end a pause."""

_FACTS: Final = ("kind", "title", "stages", "labels", "owner")


class AnyJob(Target):
    """What `Job` and `AsyncJob` have in common: everything that doesn't wait.

    Args:
        facts: its ``job.started``, checked.
        on_request: see `Producer.job`.
    """

    _word = "job"

    def __init__(self, producer: "Producer", facts: Event, on_request: OnRequest | None = None) -> None:
        super().__init__(producer._outbox, facts.job, worker=facts.worker, attempt=facts.attempt)
        self.id = facts.job
        self._producer = producer
        self._wishes = producer._wishes
        self._given = facts
        self._result: Any = UNSET
        self.params: Any = None
        """What it was queued with, of a job that was claimed."""
        if on_request is not None:
            checks.function("on_request", on_request)
            self._wishes.watch(self.id, on_request)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._producer, self._given)

    # Its parts ---------------------------------------------------------------------------------------------------

    def stage(self, name: str, weight: float | None = None) -> Stage:
        """A stage, to use in ``with``; one that wasn't declared is added."""
        return Stage(self, name, weight)

    def unit(
        self,
        name: str,
        weight: float | None = None,
        *,
        stage: Stage | str | None = None,
        attempt: int | None = None,
    ) -> Unit:
        """A unit, to use in ``with``.

        Args:
            weight: its share of the job (or stage) among the units, such as its size.
            stage: which it belongs to.
            attempt: from 1; a higher one starts the unit again, and takes its counts back.
        """
        return Unit(self, name, weight, stage, attempt)

    def add_unit(self, name: str, weight: float | None = None, *, stage: Stage | str | None = None) -> Unit:
        """Announce a unit that will start later."""
        unit = Unit(self, name, weight, stage, None)
        unit.announce()
        return unit

    def indicator(self, label: str) -> Indicator:
        """A counter of the job."""
        return Indicator(self, label)

    # What it says ------------------------------------------------------------------------------------------------

    def queue(self, *, priority: int | None = None, max_attempts: int | None = None, params: Any = UNSET) -> Self:
        """Report that it waits for a worker.

        Args:
            priority: the higher, the sooner.
            max_attempts: how often it may be tried.
            params: what the worker needs to know; anything that JSON can say.

        Raises:
            ValueError, TypeError: one of them can't be; the message names it.
        """
        given = Event(job=self.id, type="job.queued", priority=priority, max_attempts=max_attempts, params=params)
        checks.checked(given)
        self._say("queued", **self._facts(), priority=priority, max_attempts=max_attempts, params=params)
        return self

    def paused(self) -> None:
        """Report that it stands still, as somebody asked; `checkpoint` does that by itself. Progress takes it back."""
        self._say("paused")

    def resumed(self) -> None:
        """Report that it goes on after a pause."""
        self._say("resumed")

    def note(self, message: str, details: dict[str, Any] | None = None) -> None:
        """A message without progress."""
        said = None if details is None else checks.value("details", details)
        self._outbox.each("note", self._event("job.noted", message=checks.text("message", message), details=said))

    def heartbeat(self) -> None:
        """Nothing new, but still at work. A job that has started says so by itself; see `connect`."""
        self._outbox.latest("heartbeat", self._event("job.heartbeat"))

    def result(self, value: Any) -> None:
        """What the job will have come to when it finishes: anything that JSON can say, up to 52 KiB."""
        self._result = checks.value("result", value)

    def finish(self, result: Any = UNSET, *, message: str | None = None) -> None:
        """Report that it is done, with its result, unless it ended before."""
        if result is not UNSET:
            self.result(result)
        self._end("finished", message, result=self._result)

    def cancel(self, reason: str | None = None) -> None:
        """Report that it was canceled, unless it ended before. To ask somebody else's job to stop is the gateway's."""
        self._end("canceled", None, reason=None if reason is None else checks.text("reason", reason))

    def start(self) -> Self:
        """Report that it starts. Once only."""
        if not self._begun:
            self._outbox.begin(self)
        return super().start()

    def _taken(self, params: Any, lease_seconds: float) -> Self:
        """It is ours by a claim, which has started it."""
        self.params = params
        self._begun = True
        self._outbox.begin(self, lease_seconds)
        self._wishes.hold(self.id, self._attempt or 1)
        return self

    def _facts(self) -> dict[str, Any]:
        return {field: getattr(self._given, field) for field in _FACTS}

    def _end(self, verb: str, message: str | None, **fields: Any) -> None:
        super()._end(verb, message, **fields)
        self._outbox.end(self)
        self._wishes.forget(self.id)

    def _canceled(self, error: BaseException) -> None:
        reasons = (str(error.reason) for error in each(error) if isinstance(error, JobCanceled) and error.reason)
        self.cancel(next(reasons, None))

    def _abandoned(self, error: BaseException) -> None:
        self.cancel(TASK_CANCELED)

    # What is asked of it -----------------------------------------------------------------------------------------

    def _requested(self) -> str | None:
        """The wish as it is known; the first call begins to follow it."""
        if self._ended:
            return None
        self._wishes.watch(self.id)
        return self._wishes.of(self.id)


class Job(AnyJob):
    """A job. Made by `Producer.job`.

    ``with`` reports its start, and how it ended: finished, failed by an exception, or canceled by `JobCanceled` or with
    its task. The end waits until it is delivered, `flush_seconds` at most, and not at all while the server is known to
    be gone.
    """

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)

    def _end(self, verb: str, message: str | None, **fields: Any) -> None:
        super()._end(verb, message, **fields)
        self._outbox.settle(self._producer.settings.flush_seconds)

    @property
    def requested(self) -> str | None:
        """What somebody asks of the job: ``pause``, ``resume``, ``cancel``, or None.

        It is learnt in the background, from the first use on; only that one waits for it, half a second at most.
        """
        if not self._ended:
            self._wishes.watch(self.id)
            self._wishes.wait_first(self.id)
        return self._requested()

    def checkpoint(self) -> None:
        """A place where the job may stop, or wait while it is paused: call it as often as you like.

        Raises:
            JobCanceled: somebody asked the job to stop.
        """
        wish = self.requested
        if wish == "pause":
            self.paused()
            wish = self._wishes.wait_for(self.id, AFTER_PAUSE)
            if wish == "resume":
                self.resumed()
        if wish == "cancel":
            raise JobCanceled
