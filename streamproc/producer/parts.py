"""The parts of a job that a worker holds: stages, units, indicators."""

from types import TracebackType
from typing import Any, Self

from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.target import Target

__all__ = ["Indicator", "Stage", "Unit", "count"]


class _Part(Target):
    """A part of a job. ``with`` and ``async with`` start and end it; an exception reports failure and goes on up."""

    _job_handle: Target

    @property
    def _is_over(self) -> bool:
        return self._ended or self._job_handle._ended

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        return self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(error)


class Stage(_Part):
    """A stage of a job. Made by `Job.stage`."""

    _word = "stage"

    def __init__(self, job: Target, name: str, weight: float | None) -> None:
        name = checks.name("stage", name)
        super().__init__(job._outbox, job._job, stage=name, worker=job._worker, attempt=job._attempt)
        self.name = name
        self._job_handle = job
        self._weight = None if weight is None else checks.amount("weight", weight)

    def skip(self, message: str | None = None) -> None:
        """Report that it isn't needed: it weighs nothing then."""
        self._end("skipped", message)

    def _facts(self) -> dict[str, Any]:
        return {"weight": self._weight}

    def __reduce__(self) -> tuple[Any, ...]:
        return Stage, (self._job_handle, self.name, self._weight)


class Unit(_Part):
    """A unit of a job. Made by `Job.unit`."""

    _word = "unit"

    def __init__(
        self, job: Target, name: str, weight: float | None, stage: Stage | str | None, attempt: int | None
    ) -> None:
        name = checks.name("unit", name)
        if isinstance(stage, Stage):
            stage = stage.name
        facts = checks.checked(
            Event(job=job._job, type="unit.started", unit=name, stage=stage, weight=weight, attempt=attempt)
        )
        super().__init__(job._outbox, job._job, unit=name, worker=job._worker, attempt=attempt)
        self.name = name
        self._job_handle = job
        self._joined = {"weight": facts.weight, "stage": facts.stage}

    def count(self, indicator: str, done: float = 0, total: float = 0) -> None:
        """Add to one of the job's counters, as this unit's share. A new attempt of the unit takes it back.

        Raises:
            ValueError, TypeError: a number isn't from 0 to 2^53 - 1.
        """
        count(self, indicator, done=done, total=total)

    def announce(self) -> None:
        """Report that it exists, to start later."""
        self._say("added", **self._joined)

    def _facts(self) -> dict[str, Any]:
        return self._joined

    def __reduce__(self) -> tuple[Any, ...]:
        return Unit, (self._job_handle, self.name, self._joined["weight"], self._joined["stage"], self._attempt)


class Indicator:
    """A counter of a job. Made by `Job.indicator`."""

    def __init__(self, job: Target, label: str) -> None:
        self._job = job
        self.label = checks.name("indicator", label)

    def add(self, n: float = 1) -> None:
        """So much more there is to do."""
        count(self._job, self.label, total=n)

    def done(self, n: float = 1) -> None:
        """So much more is done."""
        count(self._job, self.label, done=n)


def count(target: Target, indicator: str, *, done: float = 0, total: float = 0) -> None:
    """Add to a counter, as a job or as a unit."""
    event = target._event(
        "job.counted",
        indicator=checks.name("indicator", indicator),
        done=checks.amount("done", done) or None,
        total=checks.amount("total", total) or None,
    )
    target._outbox.each(f"{target._key} counts {indicator}", event)
