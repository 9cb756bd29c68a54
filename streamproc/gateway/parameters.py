"""What routes read from a request's path, query and headers."""

import re
from typing import Final

from starlette.requests import HTTPConnection, Request

from streamproc.errors import InvalidEvent, InvalidPosition, UnknownJob
from streamproc.gateway.problems import Problem
from streamproc.position import Token, check, parse_token
from streamproc.wire import check_job_id

__all__ = [
    "accepts",
    "accepts_ndjson",
    "after",
    "choice",
    "invalid",
    "job_of",
    "last_event_id",
    "limit",
    "name",
    "texts",
    "token_of",
    "whole",
]

_LONGEST_NAME: Final = 256


def job_of(request: HTTPConnection) -> str:
    """The job of the path. Raises `UnknownJob` where none can have that id."""
    job = request.path_params["job"]
    try:
        return check_job_id(job)
    except InvalidEvent:
        raise UnknownJob(f"there is no job {job[:200]!r}") from None


def invalid(name: str, why: str) -> Problem:
    """The refusal of a parameter."""
    return Problem(400, "invalid-parameter", f"{name}: {why}", parameter=name)


def limit(request: Request, *, default: int = 50, most: int = 500) -> int:
    """How many items a page may have."""
    return whole(request, "limit", 1, most) or default


def whole(request: Request, name: str, least: int, most: int) -> int | None:
    """A whole number of the query."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise invalid(name, f"must be a whole number of {least} to {most}")
    return int(text)


def choice(request: Request, name: str, choices: tuple[str, ...]) -> str | None:
    """One of some words."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return text


def name(request: Request, parameter: str) -> str | None:
    """A name, as events have them."""
    values = texts(request, parameter, most=1)
    return None if values is None else values[0]


def texts(
    request: Request, parameter: str, most: int, *, separator: str | None = None, longest: int = _LONGEST_NAME
) -> tuple[str, ...] | None:
    """The values of a parameter that may be given some times, or as one text with separators."""
    given = request.query_params.getlist(parameter)
    if not given:
        return None
    values = [value for text in given for value in (text.split(separator) if separator else (text,))]
    if len(values) > most:
        raise invalid(parameter, f"may be given {most} times at most" if most > 1 else "may be given once")
    for value in values:
        if not 1 <= len(value) <= longest:
            raise invalid(parameter, f"must be 1 to {longest} characters")
    return tuple(dict.fromkeys(values))


def after(request: Request) -> Token | None:
    """Where to go on: the query's ``after``, a resume token or a bare position (its incarnation is empty then)."""
    return token_of("after", request.query_params.get("after"))


def last_event_id(request: Request) -> Token | None:
    """Where an SSE client goes on. When it connects again its URL still says where it once began."""
    return token_of("Last-Event-ID", request.headers.get("last-event-id")) or after(request)


def token_of(name: str, text: str | None) -> Token | None:
    if not text:
        return None
    try:
        return parse_token(text) if "." in text else Token("", check(text))
    except InvalidPosition as error:
        raise invalid(name, str(error)) from None


def accepts(request: Request, *kinds: str) -> bool:
    """Whether the client names one of some media types."""
    named = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    return any(name in kinds for name in named)


def accepts_ndjson(request: Request) -> bool:
    """Whether the client asks for one JSON object a line."""
    return accepts(request, "application/x-ndjson", "application/ndjson")
