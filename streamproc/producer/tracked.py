"""``@sp.tracked(…)``: each call of a function is a job."""

import functools
import inspect
import logging
import re
import secrets
from collections.abc import Callable
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from msgspec import structs

from streamproc.events import Event
from streamproc.producer import checks
from streamproc.producer.job import AnyJob, Job

if TYPE_CHECKING:
    from streamproc.producer.client import Producer

__all__ = ["Tracked"]

F = TypeVar("F", bound=Callable[..., Any])
J = TypeVar("J", bound=AnyJob)

_NO_FUNCTIONS: Final = (inspect.isclass, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

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
        """The same function, tracked.

        Raises:
            TypeError: it isn't a function that returns once, as a generator isn't.
            ValueError: the text of an id or title names something that isn't a parameter.
        """
        if not callable(function) or any(of(function) for of in _NO_FUNCTIONS):
            name = getattr(function, "__qualname__", function)
            raise TypeError(f"tracked: {name} must be a function or coroutine function that returns once")
        signature = inspect.signature(function)
        _check(self._id, signature, "id")
        _check(self._title, signature, "title")
        kind = self._facts.kind or _name(function)

        def begin(of: type[J], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[J, inspect.BoundArguments]:
            given, wants_job = _bind(signature, args, kwargs)
            facts = structs.replace(
                self._facts,
                job=secrets.token_hex(8) if self._id is None else _made(self._id, given, "id"),
                title=None if self._title is None else _fitting(_made(self._title, given, "title")),
                kind=kind,
            )
            job = self._producer._job(of, checks.checked(facts), None)
            if wants_job:
                given.arguments["job"] = job
            return job, given

        if inspect.iscoroutinefunction(function):
            from streamproc.producer.asynchronous import AsyncJob

            @functools.wraps(function)
            async def tracked_async(*args: Any, **kwargs: Any) -> Any:
                job, given = begin(AsyncJob, args, kwargs)
                async with job:
                    returned = await function(*given.args, **given.kwargs)
                    self._keep(job, returned)
                return returned

            return cast("F", tracked_async)

        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            job, given = begin(Job, args, kwargs)
            with job:
                returned = function(*given.args, **given.kwargs)
                self._keep(job, returned)
            return returned

        return cast("F", tracked)

    def _keep(self, job: AnyJob, returned: Any) -> None:
        if self._result and returned is not None:  # what the function has said of it itself stays
            try:
                job.result(returned)
            except (TypeError, ValueError) as error:
                _log.warning("what job %s returned is left out of its result: %s", job.id, error)


def _name(function: Callable[..., Any]) -> str:
    """What a function is called, for people: without where it stands, but with its class."""
    qualified: str = getattr(function, "__qualname__", type(function).__qualname__)
    return qualified.rpartition("<locals>.")[2][-256:]


def _bind(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[inspect.BoundArguments, bool]:
    """The arguments of a call by name, and whether it wants a job; raises `TypeError` as the call would."""
    given = signature.bind_partial(*args, **kwargs)
    parameter = signature.parameters.get("job")
    wants_job = parameter is not None and parameter.kind in _NAMED and given.arguments.get("job") is None
    if wants_job:
        given.arguments["job"] = None
    given = signature.bind(*given.args, **given.kwargs)
    given.apply_defaults()
    if wants_job:
        del given.arguments["job"]
    return given, wants_job


def _check(made: str | Callable[..., str] | None, signature: inspect.Signature, field: str) -> None:
    """See that what a text names are parameters."""
    if not isinstance(made, str):
        return
    try:
        named = [part for _, part, _, _ in Formatter().parse(made) if part is not None]
    except ValueError as error:
        raise ValueError(f"{field}: {made!r}: {error}") from None
    for part in named:
        if re.split(r"[.[]", part, maxsplit=1)[0] not in signature.parameters:
            raise ValueError(f"{field}: {made!r} names {{{part}}}, and there is {', '.join(signature.parameters)}")


def _made(made: str | Callable[..., str], given: inspect.BoundArguments, field: str) -> str:
    """The job's id or title, of the call's arguments."""
    if callable(made):
        return made(*given.args, **given.kwargs)
    try:
        return made.format_map(given.arguments)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{field}: {made!r} can't be made of this call's arguments: {error!r}") from error


def _fitting(title: str) -> str:
    """A title as it may be: what it is made of is data."""
    return _CONTROL.sub(" ", checks.text("title", title))
