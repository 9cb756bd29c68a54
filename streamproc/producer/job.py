"""A job, as its worker holds it."""

from typing import Any

from msgspec import UNSET

from streamproc.errors import JobCanceled
from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.outbox import Outbox
from streamproc.producer.parts import Indicator, Stage, Unit
from streamproc.producer.target import Target
from streamproc.producer.wishes import Wishes

__all__ = ["Job"]


class Job(Target):
    """A job. Made by `Producer.job`.

    ``with`` reports its start, and how it ended: finished, failed by an exception, or canceled by `JobCanceled`.

    Args:
        facts: its ``job.started``, checked.
    """

    _word = "job"

    def __init__(self, outbox: Outbox, wishes: Wishes, facts: Event) -> None:
        super().__init__(outbox, facts.job, worker=facts.worker, attempt=facts.attempt)
        self.id = facts.job
        self._wishes = wishes
        self._opening = {field: getattr(facts, field) for field in ("kind", "title", "stages", "labels", "owner")}
        self._result: Any = UNSET

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

    def note(self, message: str, details: dict[str, Any] | None = None) -> None:
        """A message without progress."""
        said = None if details is None else checks.value("details", details)
        self._outbox.each("note", self._event("job.noted", message=checks.text("message", message), details=said))

    def heartbeat(self) -> None:
        """Nothing new, but still at work."""
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

    def _facts(self) -> dict[str, Any]:
        return self._opening

    def _end(self, verb: str, message: str | None, **fields: Any) -> None:
        super()._end(verb, message, **fields)
        self._wishes.forget(self.id)

    def _canceled(self, error: JobCanceled) -> None:
        self.cancel(error.reason)

    # What is asked of it -----------------------------------------------------------------------------------------

    @property
    def requested(self) -> str | None:
        """What somebody asks of the job: ``pause``, ``resume``, ``cancel``, or None.

        It is learnt in the background, from the first use on; only that one waits for it, half a second at most.
        """
        if self._ended:
            return None
        if self._wishes.watch(self.id):
            self._outbox.wake()
            self._wishes.wait_first(self.id)
        return self._wishes.of(self.id)

    def checkpoint(self) -> None:
        """A place where the job may stop or wait: call it as often as you like.

        Raises:
            JobCanceled: somebody asked the job to stop.
        """
        wish = self.requested
        if wish == "pause":
            self._say("paused")
            wish = self._wishes.wait_for(self.id, ("resume", "cancel"))
            if wish == "resume":
                self._say("resumed")
        if wish == "cancel":
            raise JobCanceled
