"""What a programmer hands in, checked where it is handed in: a `ValueError` or `TypeError` that names the field.

Only what the programmer chooses is refused. What merely happens to be in the data (a message that is too long, a
file's name that isn't UTF-8 inside it, an exception's text) is made to fit, since reporting never breaks the work.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final

import msgspec

from streamproc.errors import InvalidEvent
from streamproc.events import MAX_NUMBER, Error, Event, StageDeclaration
from streamproc.producer.endings import TASK_CANCELED, each, is_task_canceled
from streamproc.wire import MAX_EVENT_BYTES, decode, encode

__all__ = ["amount", "checked", "error_of", "finite", "function", "name", "now", "stages", "text", "value"]

_MAX_TEXT: Final = 1000
_MAX_DETAIL: Final = 4000
_ROOM: Final = 12 * 1024
"""Bytes that are left for the fields that are added later: a message, names, src, seq, at."""

_UNSAYABLE: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError)
"""What encoding raises for what JSON can't say."""

_log = logging.getLogger("streamproc")
_told: set[str] = set()
_encode = msgspec.json.Encoder().encode

now = partial(datetime.now, UTC)


def finite(field: str, number: float) -> float:
    """A number as a finite float."""
    if isinstance(number, bool):
        raise TypeError(f"{field}: must be a number, not bool")
    try:
        if math.isfinite(number):
            return float(number)
    except TypeError:
        raise TypeError(f"{field}: must be a number, not {type(number).__name__}") from None
    except OverflowError:
        pass
    raise ValueError(f"{field}: must be a finite number")


def amount(field: str, number: float) -> float:
    """A count, a size or a weight: finite, from 0 to 2^53 - 1; whole numbers stay whole."""
    if type(number) is not int:
        number = finite(field, number)
        if number.is_integer():
            number = int(number)
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{field}: must be 0 to {MAX_NUMBER}")
    return number


def text(field: str, said: str) -> str:
    """A text for people, cut to 1,000 characters; what UTF-8 can't say becomes a question mark."""
    if not isinstance(said, str):
        raise TypeError(f"{field}: must be text, not {type(said).__name__}")
    if len(said) > _MAX_TEXT:
        if field not in _told:
            _told.add(field)
            _log.warning("%s: longer than %d characters, and cut; this is said once", field, _MAX_TEXT)
        said = said[: _MAX_TEXT - 1] + "…"
    return said if said.isascii() else _utf8(said)


def _utf8(said: str) -> str:
    return said.encode(errors="replace").decode()


def checked(event: Event) -> Event:
    """The event as its reader will have it: the wire's own rules, and plain data that nobody else changes."""
    try:
        payload = encode(event)
    except _UNSAYABLE as error:
        raise _blame(event, error) from None
    if len(payload) > MAX_EVENT_BYTES - _ROOM:
        said = _said(event)
        longest = max(said, key=lambda field: len(_encode(said[field])))
        raise ValueError(f"{longest}: too big, as an event has {MAX_EVENT_BYTES - _ROOM:,} bytes for it")
    try:
        return decode(payload)
    except InvalidEvent as error:
        raise ValueError(str(error)) from None


def _said(event: Event) -> dict[str, Any]:
    fields = {field: getattr(event, field) for field in event.__struct_fields__}
    return {field: said for field, said in fields.items() if said is not msgspec.UNSET}


def _blame(event: Event, error: Exception) -> Exception:
    """The same error, naming the field that can't be written as JSON."""
    kind = TypeError if isinstance(error, TypeError) else ValueError
    for field, said in _said(event).items():
        try:
            _encode(said)
        except _UNSAYABLE:
            return kind(f"{field}: {error}")
    return kind(str(error))


def value(field: str, said: Any) -> Any:
    """A result or details: what JSON can say, as plain data. NaN becomes null."""
    return getattr(checked(_event(field, said)), field)


@lru_cache(maxsize=4096)
def _name(field: str, said: str) -> str:
    checked(_event(field, said))
    return said


def name(field: str, said: str) -> str:
    """A name: 1 to 256 characters, none of them a control character."""
    if not isinstance(said, str):
        raise TypeError(f"{field}: must be text, not {type(said).__name__}")
    return _name(field, said)


def _event(field: str, said: Any) -> Event:
    return Event(**{"job": "-", "type": "-", field: said})


def stages(said: Mapping[str, float] | Iterable[str] | None) -> list[StageDeclaration] | None:
    """Stages in their order, given by name and weight, or by name alone."""
    if said is None:
        return None
    if isinstance(said, str):
        raise TypeError("stages: must be names, or names with weights, not one text")
    if not isinstance(said, Iterable):
        raise TypeError(f"stages: must be names, or names with weights, not {type(said).__name__}")
    weights = said if isinstance(said, Mapping) else dict.fromkeys((name("stage", stage) for stage in said), 1)
    return [StageDeclaration(name("stage", stage), amount("weight", weight)) for stage, weight in weights.items()]


def function(field: str, called: Callable[..., object]) -> None:
    """What is called later, and couldn't be refused then."""
    if not callable(called):
        raise TypeError(f"{field}: must be a function, not {type(called).__name__}")


def error_of(reason: BaseException | str) -> Error:
    """Why something failed, out of an exception or a text. Never raises for what an exception says of itself.

    A task group's only error is told as itself, and several are told by name and text.
    """
    if isinstance(reason, str):
        return Error("Error", _utf8(reason[:_MAX_DETAIL]))
    first, *others = each(reason)
    if others:
        errors = [f"{type(error).__name__}: {_detail(error)}" for error in (first, *others)]
        return Error(_utf8(type(reason).__name__[:256]), _utf8("; ".join(errors)[:_MAX_DETAIL]))
    return Error(_utf8(type(first).__name__[:256]), _utf8(_detail(first)[:_MAX_DETAIL]) or None)


def _detail(error: BaseException) -> str:
    if isinstance(error, GeneratorExit):
        return "closed before its end"
    if is_task_canceled(error):
        return TASK_CANCELED
    try:
        return str(error)
    except Exception as mute:  # noqa: BLE001  (an exception may be unable to say what it is; that isn't the work's)
        return f"its text can't be had: {type(mute).__name__}"
