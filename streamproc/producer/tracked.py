"""``@sp.tracked(…)``: each call of a function is a job."""

import functools
import inspect
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec import structs

from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.job import AnyJob, Job

if TYPE_CHECKING:
    from streamproc.producer.client import Producer

__all__ = ["Tracked"]

F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("streamproc")


class Tracked:
    """The decorator that `Producer.tracked` makes.

    Args:
        facts: what is the same for each call.
        name, title: the job's id and title, or how to make them of the arguments.
    """

    def __init__(
        self,
        producer: "Producer",
        facts: Event,
        name: str | Callable[..., str] | None,
        title: str | Callable[..., str] | None,
        result: bool,
    ) -> None:
        self._producer = producer
        self._facts = facts
        self._id = name
        self._title = title
        self._result = result

    def __call__(self, function: F) -> F:
        """Raises `TypeError` for what isn't a function that returns, such as a generator."""
        if not callable(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", function)
            raise TypeError(f"tracked: {name} must be a function or coroutine function that returns once")
        signature = inspect.signature(function)
        takes_job = "job" in signature.parameters
        kind = self._facts.kind or function.__qualname__[-256:]

        def job_of(of: type[AnyJob], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given = signature.bind_partial(*args, **kwargs)
            given.apply_defaults()
            facts = structs.replace(
                self._facts,
                job=self._made(self._id, given, "id") or secrets.token_hex(8),
                title=self._made(self._title, given, "title"),
                kind=kind,
            )
            job = self._producer._job(of, checks.checked(facts), None)
            if takes_job and given.arguments.get("job") is None:
                kwargs["job"] = job
            return job

        if inspect.iscoroutinefunction(function):
            from streamproc.producer.asynchronous import AsyncJob

            @functools.wraps(function)
            async def tracked_async(*args: Any, **kwargs: Any) -> Any:
                async with job_of(AsyncJob, args, kwargs) as job:
                    returned = await function(*args, **kwargs)
                    self._keep(job, returned)
                return returned

            return cast("F", tracked_async)

        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            with job_of(Job, args, kwargs) as job:
                returned = function(*args, **kwargs)
                self._keep(job, returned)
            return returned

        return cast("F", tracked)

    def _made(self, made: str | Callable[..., str] | None, given: inspect.BoundArguments, field: str) -> str | None:
        """The job's id or title, of the call's arguments."""
        if made is None:
            return None
        if callable(made):
            return made(*given.args, **given.kwargs)
        try:
            return made.format_map(given.arguments)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            raise ValueError(f"{field}: {made!r} can't be made of {sorted(given.arguments)}: {error!r}") from error

    def _keep(self, job: AnyJob, returned: Any) -> None:
        if self._result:
            try:
                job.result(returned)
            except (TypeError, ValueError) as error:
                _log.warning("what job %s returned is left out of its result: %s", job.id, error)
