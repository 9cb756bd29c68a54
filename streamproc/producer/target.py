"""What a job, a stage and a unit have in common: a bar of their own, a beginning and an end."""

from collections.abc import AsyncIterable, Iterable
from typing import Any, ClassVar, Self, TypeVar

from streamproc.events import Event
from streamproc.producer import bars, checks
from streamproc.producer.checks import now
from streamproc.producer.current import enter, leave
from streamproc.producer.endings import Ending, ending_of
from streamproc.producer.outbox import Outbox
from streamproc.producer.track import Track

__all__ = ["Target"]

T = TypeVar("T")


class Target:
    """Something with a bar, that starts and ends.

    Nothing here waits for the server, and nothing raises because of it.
    """

    _word: ClassVar[str]

    def __init__(
        self,
        outbox: Outbox,
        job: str,
        *,
        stage: str | None = None,
        unit: str | None = None,
        worker: str | None = None,
        attempt: int | None = None,
    ) -> None:
        self._outbox = outbox
        self._job = job
        self._stage = stage
        self._unit = unit
        self._worker = worker
        self._attempt = attempt
        self._key = f"{self._word} {unit or stage or ''}"
        self._progressed = f"{self._word}.progressed"
        self._total: float | None = None
        self._loops: list[Track[Any]] = []
        self._begun = False
        self._ended = False

    @property
    def _is_over(self) -> bool:
        """Whether it has ended, or what it is a part of."""
        return self._ended

    @property
    def label(self) -> str:
        """What it is called, for people."""
        return self._unit or self._stage or self._job

    # How far it is -----------------------------------------------------------------------------------------------

    def percent(self, percent: float, message: str | None = None, details: dict[str, Any] | None = None) -> None:
        """Report progress from 0 to 100. Beyond that it is shown as 0 or 100.

        Raises:
            ValueError, TypeError: `percent` isn't a finite number, or JSON can't say `details`.
        """
        if type(percent) is not float or not -1e9 < percent < 1e9:
            percent = checks.finite("percent", percent)
        self._report(percent, None, None, message, details)

    progress = percent

    def items(
        self,
        done: float,
        total: float | None = None,
        message: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Report so many done of a total; the last total holds where none is given.

        Raises:
            ValueError, TypeError: a number isn't from 0 to 2^53 - 1, or JSON can't say `details`.
        """
        done = checks.amount("done", done)
        if total is None:
            total = self._total
        else:
            total = self._total = checks.amount("total", total)
        self._report(None, done, total, message, details)

    def indeterminate(self, message: str | None = None) -> None:
        """Report that it goes on, and that nobody knows how far it is."""
        self._report(None, None, None, message, None)

    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        desc: str | None = None,
        total: float | None = None,
        unit: str = "it",
        *,
        bar: bool = False,
    ) -> Track[T]:
        """The same items, for ``for`` or ``async for``, reporting how many of them are done.

        Of loops within one another on the same target only the outermost is reported.

        Args:
            desc: the message that goes with it.
            total: of items; None takes ``len(iterable)``, where it has one.
            unit: what the items are, for the bar.
            bar: whether to draw a bar too, on stderr where that is a terminal.

        Raises:
            TypeError, ValueError: it can't be iterated over, or `total` is no number.
        """
        return Track(self, iterable, desc, total, unit, bar)

    def _enter_loop(self, loop: Track[Any]) -> None:
        if loop.bar:
            bars.show(loop, self)
        self._loops.append(loop)
        if self._loops[0] is loop:
            loop.report(loop.desc)
        self._outbox.sample(self)

    def _leave_loop(self, loop: Track[Any]) -> None:
        """Report where the loop is, for the last time."""
        if loop.bar:
            bars.hide(loop)
        if loop in self._loops:
            reported = self._loops[0] is loop
            self._loops.remove(loop)
            if not self._loops:
                self._outbox.sample_no_more(self)
            if reported and not self._ended:
                loop.report()

    def _sample(self) -> None:
        """Report how far the outermost loop is. Called by the sender's thread."""
        if not self._ended:
            for loop in self._loops[:1]:
                loop.sample()

    def _report(
        self,
        percent: float | None,
        done: float | None,
        total: float | None,
        message: str | None,
        details: dict[str, Any] | None,
    ) -> None:
        if message is not None:
            message = checks.text("message", message)
        said = None if details is None else checks.value("details", details)
        event = Event(
            job=self._job,
            type=self._progressed,
            percent=percent,
            done=done,
            total=total,
            unit=self._unit,
            stage=self._stage,
            message=message,
            worker=self._worker,
            attempt=self._attempt,
            at=now(),
            details=said,
        )
        self._outbox.latest(self._key, event)

    # Its beginning and end ---------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Report that it starts. Once only."""
        if not self._begun:
            self._begun = True
            self._say("started", **self._facts())
        return self

    def finish(self, *, message: str | None = None) -> None:
        """Report that it is done, unless it ended before."""
        self._end("finished", message)

    def fail(self, error: BaseException | str, *, message: str | None = None) -> None:
        """Report that it failed, and why, unless it ended before."""
        self._end("failed", message, error=checks.error_of(error))

    def _facts(self) -> dict[str, Any]:
        """What its start tells of it."""
        return {}

    def _end(self, verb: str, message: str | None, **fields: Any) -> None:
        if not self._ended:
            if message is not None:
                message = checks.text("message", message)
            for loop in self._loops[:1]:
                loop.report()
            self._ended = True
            self._say(verb, message=message, **fields)

    def _say(self, verb: str, **fields: Any) -> None:
        self._outbox.keep(self._event(f"{self._word}.{verb}", **fields))

    def _event(self, type: str, **fields: Any) -> Event:  # noqa: A002  (the wire's word)
        own = {"job": self._job, "unit": self._unit, "stage": self._stage}
        return Event(**own | {"type": type, "worker": self._worker, "attempt": self._attempt, "at": now()} | fields)

    def _enter(self) -> Self:
        self.start()
        enter(self)
        return self

    def _leave(self, error: BaseException | None) -> None:
        leave(self)
        if error is None:
            self.finish()
            return
        match ending_of(error):
            case Ending.CANCELED:
                self._canceled(error)
            case Ending.ABANDONED:
                self._abandoned(error)
            case Ending.FAILED:
                self.fail(error)

    def _canceled(self, error: BaseException) -> None:
        """The job ends, and this part of it stays as far as it was."""

    def _abandoned(self, error: BaseException) -> None:
        """Its task was canceled. The job may go on, as where there was a time limit: so this part has failed."""
        self.fail(error)
